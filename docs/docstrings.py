"""Docstrings as the site shows them: what is written for readers of the code becomes links and plain words."""

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":\w+:`~?([\w.]+)`")
LINK = r'<autoref identifier="\1" optional><code>\1</code></autoref>'
TYPED = re.compile(r"^ *[\w, ]+ : .*``.*$", re.MULTILINE)


class Docstrings(Extension):
    """Puts a link in the place of every role, such as ``:func:`equipoise.plan```, where the site has what it names."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object; a type is shown as code, so that the shape in it needs no quotes."""
        if obj.docstring:
            text = TYPED.sub(lambda line: line[0].replace("``", ""), obj.docstring.value)
            obj.docstring.value = ROLE.sub(LINK, text)
