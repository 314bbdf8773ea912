"""Loads of which a file says nothing but the numbers: ``[experts]``, ``[layers, experts]``, or windows of these.

Maps look much the same: the expert in each slot, the slot of each expert. What may be one is not taken for loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError, setting
from equipoise.formats.loads.number_lists import array_of_lists
from equipoise.loads import Loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTHING = -1
"""What maps hold where there is no expert or no slot."""
FEW = 4
"""Numbers from 0 on in every row that loads may have by chance."""


def loads_of_numbers(numbers: NDArray[Any]) -> Loads:
    """Return the loads that are these numbers.

    Raises
    ------
    InputError
        If they are a map with -1 in it, or no loads.
    """
    if numbers.dtype.kind in "if" and numbers.size and numbers.min() == NOTHING and not (numbers % 1).any():
        place = [int(i) for i in np.argwhere(numbers == NOTHING)[0]]
        raise InputError(
            f"holds whole numbers from -1 on, {place} among them: a map of experts or of slots, not loads; expected "
            "the token selections of each expert. A placement is read as JSON with physical_to_logical_map"
        )
    return Loads(numbers)


def loads_of_lists(lists: Any) -> Loads:
    """Return the loads that are numbers in lists, as JSON has them.

    Raises
    ------
    InputError
        As :func:`loads_of_numbers`, or naming the layer and the expert that is no number.
    """
    return loads_of_numbers(array_of_lists(lists))


def refuse_a_map(loads: Loads, name: str) -> None:
    """Refuse loads that look like the expert in each slot: every row has all numbers from 0 to one and the same.

    Parameters
    ----------
    loads : Loads
        What was read.
    name : str
        The format that they were read in, which says that they are loads where it is asked for.

    Raises
    ------
    InputError
        Saying how to say which it is.
    """
    highest = loads.counts.max()
    if not FEW - 1 <= highest < loads.experts or (loads.counts % 1).any():
        return
    rows = loads.counts.reshape(-1, loads.experts).astype(np.int64)
    if all(np.bincount(row, minlength=int(highest) + 1).all() for row in rows):
        raise InputError(
            f"holds each number from 0 to {highest:.0f} in every row: the expert in each slot, or loads. Say the "
            f'latter with {setting("format", name)}; a placement is read as JSON: {{"physical_to_logical_map": [...]}}'
        )
