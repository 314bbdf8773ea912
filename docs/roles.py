"""The roles of docstrings, such as ``:func:`equipoise.plan```, as links where the site has what they name."""

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":\w+:`~?([\w.]+)`")
LINK = r'<autoref identifier="\1" optional><code>\1</code></autoref>'


class Roles(Extension):
    """Puts a link in the place of every role."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(LINK, obj.docstring.value)
