"""The least number for which something holds, by halving."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HALVINGS = 60


def least_where(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return the least number from ``low`` to ``high`` for which it holds, as it does for all above, or just above it.

    Examples
    --------
    >>> least_where(lambda number: number * number >= 2, 1.0, 2.0)
    1.4142135623730951
    """
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
