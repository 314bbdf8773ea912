"""The one error that Equipoise raises for input it cannot use, in the words of whoever reads it."""

from __future__ import annotations

import re
from math import inf
from numbers import Integral, Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What stands around a setting in a message, so that it can be found there; no text that people type has these.
BEGIN, END = "\N{SHIFT OUT}", "\N{SHIFT IN}"
SETTING = re.compile(f"{BEGIN}([^={END}]*)(?:=([^{END}]*))?{END}")


class InputError(ValueError):
    """Input that cannot be used: what was wrong, where, what was expected and how to mend it.

    Settings are named as Python's parameters are; :meth:`said` names them as others type them.
    """

    def __str__(self) -> str:
        """Return the message, settings named as parameters."""
        return self.said(lambda name, value: name if value is None else f"{name}={value}")

    def said(self, named: Callable[[str, str | None], str]) -> str:
        """Return the message, settings named by a function of the parameter's name and the value asked for, if any.

        Examples
        --------
        >>> error = InputError(f"8 groups do not divide over 3 nodes; use {setting('groups', 1)}")
        >>> str(error)
        '8 groups do not divide over 3 nodes; use groups=1'
        >>> error.said(lambda name, value: f"--{name} {value}")
        '8 groups do not divide over 3 nodes; use --groups 1'
        """
        return SETTING.sub(lambda found: named(found[1], found[2]), "".join(map(str, self.args)))


def unquoted(value: str) -> str:
    """Return a value that a setting should have as it is typed where no quotes are needed."""
    return value.strip("'\"")


def setting(name: str, value: object = None) -> str:
    """Name a setting in a message, and the value that it should have, if one should be asked for."""
    return f"{BEGIN}{name}{END}" if value is None else f"{BEGIN}{name}={value!r}{END}"


def check_count(name: str, value: object) -> int:
    """Return the value as an int, or raise :class:`InputError` if it is no whole number of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < 1:
        raise InputError(f"{name} is {value!r}; expected a whole number of at least 1")
    return int(value)


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise :class:`InputError` if the value is none of the choices."""
    choices = list(choices)
    if value not in choices:
        raise InputError(f"{name} is {value!r}; expected {', '.join(map(repr, choices))}")


def check_share(name: str, value: object) -> float:
    """Return the value as a float, or raise :class:`InputError` if it is no number from 0 to 1."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) <= 1:
        raise InputError(f"{name} is {value!r}; expected a share, from 0 to 1")
    return float(value)


def check_positive(name: str, value: object) -> float:
    """Return the value as a float, or raise :class:`InputError` if it is no finite number above 0."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < inf:
        raise InputError(f"{name} is {value!r}; expected a finite number above 0")
    return float(value)
