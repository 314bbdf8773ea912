"""A max-heap in two arrays: the largest key on top, ties to the lowest item.

keys: float64 [capacity]. items: int64 [capacity]. Only the first ``size`` entries count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.solver.compiling import kernel

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers


@kernel
def push(keys: Floats, items: Integers, size: int, key: float, item: int) -> None:
    """Add an entry to a heap of ``size`` entries."""
    place = size
    while place > 0:
        parent = (place - 1) // 2
        if not _above(key, item, keys[parent], items[parent]):
            break
        keys[place], items[place] = keys[parent], items[parent]
        place = parent
    keys[place], items[place] = key, item


@kernel
def pop(keys: Floats, items: Integers, size: int) -> int:
    """Take the top item off a heap of ``size`` entries."""
    top: int = items[0]
    replace(keys, items, size - 1, keys[size - 1], items[size - 1])
    return top


@kernel
def replace(keys: Floats, items: Integers, size: int, key: float, item: int) -> None:
    """Put an entry into a heap of ``size`` entries in place of the top.

    Most entries belong near the bottom: the gap first goes all the way down, then the entry up from there.
    """
    gap, child = 0, 1
    while child < size:
        right = child + 1
        if right < size and _above(keys[right], items[right], keys[child], items[child]):
            child = right
        keys[gap], items[gap] = keys[child], items[child]
        gap, child = child, 2 * child + 1
    push(keys, items, gap, key, item)


@kernel
def sort(values: Floats, keys: Floats, items: Integers, order: Integers) -> None:
    """Write the places of the values into ``order``, the largest value's first, through a heap."""
    for place in range(values.size):
        push(keys, items, place, values[place], place)
    for at in range(values.size):
        order[at] = pop(keys, items, values.size - at)


@kernel
def _above(key: float, item: int, other_key: float, other_item: int) -> bool:
    return key > other_key or (key == other_key and item < other_item)
