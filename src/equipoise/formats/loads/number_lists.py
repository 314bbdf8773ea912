"""Lists within lists of numbers, as JSON has them, as an array; what does not fit is named by its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.refusals import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

AXES = ("window", "layer", "expert")
NUMBERS = frozenset({int, float})
WORDS = (type(None), bool)
"""What JSON writes otherwise than Python."""


def array_of_lists(lists: Any, axes: Sequence[str] = AXES) -> NDArray[Any]:
    """Return the numbers of lists within lists, all of one length, as an array.

    Parameters
    ----------
    lists : list
        Numbers, lists of numbers, and so on; no deeper than there are axes.
    axes : sequence of str
        What the axes are called; where the lists are less deep, the last of these.

    Raises
    ------
    InputError
        Naming the first place that is no number, or no list as long as the first of its kind.

    Examples
    --------
    >>> array_of_lists([[5, 1], [2, 4]]).tolist()
    [[5, 1], [2, 4]]
    >>> array_of_lists([[5, 1], [2]])
    Traceback (most recent call last):
    equipoise.errors.InputError: layer 1 has 1 expert; expected 2, as the first layer has
    """
    shape = _shape_at_the_beginning(lists, axes)
    used = list(axes[len(axes) - len(shape) :])
    _check(lists, shape, used, [])
    array = np.array(lists)
    if array.dtype == object:
        raise InputError("holds a whole number of more than 64 bits; expected numbers that fit")
    return array


def _shape_at_the_beginning(lists: Any, axes: Sequence[str]) -> list[int]:
    """Return how long the first lists are, which all others have to be too."""
    shape, inner = [], lists
    while isinstance(inner, list):
        shape.append(len(inner))
        if len(shape) > len(axes):
            raise InputError(
                f"holds lists more than {len(axes)} deep; expected [{']['.join(f'{axis}s' for axis in axes)}]"
            )
        if not inner:
            raise InputError(f"holds an empty list; expected at least one {axes[-1]} in each layer")
        inner = inner[0]
    if not shape:
        raise InputError(f"holds {_typed(lists)}; expected lists of numbers")
    return shape


def _check(inner: Any, shape: list[int], axes: list[str], place: list[int]) -> None:
    """Refuse lists, at this place, that are not of this shape."""
    depth = len(place)
    if not isinstance(inner, list):
        raise InputError(f"{_where(axes, place)} is {_typed(inner)}; expected {_what(axes, depth)}")
    if len(inner) != shape[depth]:
        name = axes[depth] if len(inner) == 1 else f"{axes[depth]}s"
        raise InputError(
            f"{_where(axes, place)} has {len(inner)} {name}; expected {shape[depth]}, as the first "
            f"{axes[depth - 1]} has"
        )
    if depth < len(shape) - 1:
        for number, within in enumerate(inner):
            _check(within, shape, axes, [*place, number])
    elif not NUMBERS.issuperset(map(type, inner)):
        number = next(number for number, value in enumerate(inner) if type(value) not in NUMBERS)
        raise InputError(f"{_where(axes, [*place, number])} is {_typed(inner[number])}; expected a number")


def _where(axes: list[str], place: list[int]) -> str:
    return ", ".join(f"{axis} {number}" for axis, number in zip(axes, place, strict=False))


def _what(axes: list[str], depth: int) -> str:
    return f"a list of {axes[depth]}s" if depth < len(axes) else "a number"


def _typed(value: Any) -> str:
    """Return a value as JSON has it."""
    if isinstance(value, str):
        return f"the text {shown(value)}"
    return json.dumps(value) if isinstance(value, WORDS) else shown(value)
