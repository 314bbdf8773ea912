"""The one error that Equipoise raises for input it cannot use."""

from __future__ import annotations

from math import inf
from numbers import Integral, Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used: what was wrong, where, what was expected and how to mend it."""


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
