"""How a file is refused: with its name in front, and with what it holds in a few words."""

from __future__ import annotations

import reprlib
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in every refusal, and turn what the system refuses into an :class:`InputError`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: ", *error.args) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except MemoryError:
        raise InputError(f"{path}: too large for this machine's memory") from None


def listed(names: Iterable[Any]) -> str:
    """Return the names of what was found, cut to a length that a message can hold."""
    return textwrap.shorten(", ".join(map(str, names)), 80, placeholder=" ...") or "(none)"


def shown(value: Any) -> str:
    """Return a value as it would be typed, cut to a length that a message can hold."""
    return reprlib.repr(value)
