"""How a file is refused: with its name in front, and with what it holds in a few words."""

from __future__ import annotations

import reprlib
import textwrap
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MOST_LISTED = 80
PLAIN = (float, complex, bytes, bool, type(None))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in every refusal, and turn what the system refuses into an :class:`InputError`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: ", *error.args) from None
    except OSError as error:
        reason = (
            error.strerror or "damaged, or not to be read"
        )  # packages raise it for damage, without the system's words
        raise InputError(f"{path}: {reason}") from None
    except MemoryError:
        raise InputError(f"{path}: too large for this machine's memory") from None


def listed(names: Iterable[Any]) -> str:
    """Return the names of what was found, cut to a length that a message can hold."""
    first = (name if isinstance(name, str) else shown(name) for name in islice(names, MOST_LISTED))
    return textwrap.shorten(", ".join(first), MOST_LISTED, placeholder=" ...") or "(none)"


def shown(value: Any) -> str:
    """Return a value as it would be typed, cut to a length that a message can hold."""
    return _SHORT.repr(value)


class _Short(reprlib.Repr):
    """Short texts of plain values, to a limited depth, and of anything else only what it is.

    A tensor that a few bytes expand to 64 axes, or a dict within a dict, can have a text that no memory holds.
    """

    def repr_instance(self, x: Any, level: int) -> str:
        return super().repr_instance(x, level) if isinstance(x, PLAIN) else f"a {type(x).__name__}"


_SHORT = _Short()
_SHORT.maxlevel = 3
