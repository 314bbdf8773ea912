"""A table of what so many tokens of one expert take, and what it says between and beyond its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FALL = 0.15


@dataclass(frozen=True)
class Table:
    """Microseconds that n tokens of one expert take, for some n.

    No tokens take no time; fewer than the first row has take as long as those. Between rows lines are drawn, and beyond
    the last one its last line goes on.

    Real tables fall here and there. Where more tokens take less time, by 15 % at most, the rows are levelled: to the
    nearest ones, by least squares, that do not fall.

    Parameters
    ----------
    tokens : array_like, ``[rows]``
        Numbers of tokens, rising and above 0; kept as a tuple.
    microseconds : array_like, ``[rows]``
        What they take; kept as a tuple, levelled.
    levelled : float
        By how much the rows fell before they were levelled, as a share of the longest time above; kept as the larger of
        what is given, by whoever had them levelled before, and what they fall here.

    Raises
    ------
    InputError
        If there are not two rows, tokens do not rise, a number is negative or not finite, or the time falls by more
        than 15 %.

    Examples
    --------
    >>> table = Table([1, 64, 128], [40, 40, 50])
    >>> table(np.array([0, 1, 96, 192])).tolist()
    [0.0, 40.0, 45.0, 60.0]
    """

    tokens: tuple[float, ...]
    microseconds: tuple[float, ...]
    levelled: float

    def __init__(self, tokens: ArrayLike, microseconds: ArrayLike, levelled: float = 0.0) -> None:
        columns = [np.asarray(column, dtype=np.float64) for column in (tokens, microseconds)]
        if columns[0].ndim != 1 or columns[0].shape != columns[1].shape:
            shapes = " and ".join(str(list(column.shape)) for column in columns)
            raise InputError(f"tokens and microseconds of a table have shapes {shapes}; expected [rows] for both")
        rows = np.column_stack(columns)
        _check_rows(rows)
        fall = _check_fall(rows)
        times = _levelled(rows[:, 1]) if fall > 0 else rows[:, 1]
        object.__setattr__(self, "tokens", tuple(rows[:, 0].tolist()))
        object.__setattr__(self, "microseconds", tuple(times.tolist()))
        object.__setattr__(self, "levelled", max(fall, levelled))

    def __call__(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the microseconds of so many tokens, of any shape."""
        (before, last), (below, top) = self.tokens[-2:], self.microseconds[-2:]
        beyond = np.maximum(tokens - last, 0) * (top - below) / (last - before)
        return np.asarray((np.interp(tokens, self.tokens, self.microseconds) + beyond) * (tokens > 0))


def _levelled(microseconds: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(microseconds).x)


def _check_rows(rows: NDArray[np.float64]) -> None:
    if len(rows) < 2:
        raise InputError(f"rows of the table: {len(rows)}; expected two at least, to tell of other numbers of tokens")
    bad = np.argwhere(~(np.isfinite(rows) & (rows >= 0)))
    if len(bad):
        row, column = bad[0]
        name = ("tokens", "microseconds")[column]
        raise InputError(f"row {row + 1}: {name} is {rows[row, column]}; expected a finite number of at least 0")
    low = np.flatnonzero(np.diff(rows[:, 0], prepend=0) <= 0)
    if len(low):
        row = int(low[0])
        raise InputError(
            f"row {row + 1}: tokens is {rows[row, 0]:g}; expected more than "
            + (f"the {rows[row - 1, 0]:g} of the row before" if row else "0, which takes no time")
        )


def _check_fall(rows: NDArray[np.float64]) -> float:
    """Return by which share the time falls at most, or refuse a fall that no measurement explains."""
    most = np.maximum.accumulate(rows[:, 1])
    fall = np.divide(most - rows[:, 1], most, out=np.zeros(len(rows)), where=most > 0)
    worst = int(fall.argmax())
    if fall[worst] > FALL:
        raise InputError(
            f"row {worst + 1}: {rows[worst, 0]:g} tokens take {rows[worst, 1]:g} microseconds, {fall[worst]:.0%} less "
            f"than fewer tokens do; expected a time that rises with tokens or falls by {FALL:.0%} at most"
        )
    return float(fall[worst])
