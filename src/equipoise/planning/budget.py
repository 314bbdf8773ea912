"""One budget for all layers: at which change each layer stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.planning.bisection import least_where

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Sums of the same loads in another order differ by far less, as a share of what is spent.
ROUNDING = 1e-9
# What spending everything, or a move where there is no limit, may cost in PAR at least: it decides between equals.
LEAST_RATE = 1e-12


class Expense(NamedTuple):
    """Something that changes use up: moves, or the share of the load that is served off its home node."""

    spent: NDArray[np.float64]  # [layers, changes + 1], after each change of a layer; the first cannot be saved
    budget: float  # for all layers together; inf for none

    @property
    def unit(self) -> float:
        """What counts as 1: the whole budget where there is one."""
        return self.budget if 2 * ROUNDING * float(np.abs(self.spent).max()) < self.budget < np.inf else 1.0

    def allows(self, stops: NDArray[np.int64]) -> bool:
        """Return whether the budget, or what cannot be saved, suffices for layers that stop there."""
        spent = self.spent[np.arange(len(stops)), stops].sum()
        return bool(spent <= max(self.budget, float(self.spent[:, 0].sum())))

    def beyond_what_cannot_be_saved(self) -> Expense:
        """Return what is spent on top of the first column, and what is left for that."""
        left = max(self.budget - float(self.spent[:, 0].sum()), 0.0)
        return Expense(self.spent - self.spent[:, :1], left + ROUNDING * float(np.abs(self.spent).max()))


def stops_within(par: NDArray[np.float64], expenses: list[Expense]) -> NDArray[np.int64]:
    """Return after how many changes each layer stops, so that the mean PAR is least and no budget exceeded.

    One rate of exchange between PAR and budget holds for all layers: each stops where PAR plus what is spent, at that
    rate, is least. What then remains goes, layer by layer, to the one that gains most by it.

    Parameters
    ----------
    par : ndarray, float64 ``[layers, changes + 1]``
        PAR after each change of a layer; inf where there are no more.
    expenses : list of Expense
        What the changes use up, in the same shape.

    Returns
    -------
    ndarray, int64 ``[layers]``
        Where what cannot be saved exceeds a budget by itself, nothing is spent on top.

    Examples
    --------
    >>> moves = np.array([[0, 2, 4], [0, 2, 4.0]])
    >>> stops_within(np.array([[1.5, 1.1, 1.0], [1.2, 1.1, 1.0]]), [Expense(moves, budget=3)]).tolist()
    [1, 0]
    """
    every = np.arange(len(par))
    extra = [e.beyond_what_cannot_be_saved() for e in expenses]
    # What is saved of one budget pays for none of the other: at a high enough rate nothing is spent.
    price = sum((np.maximum(e.spent, 0) / e.unit for e in extra), np.zeros_like(par))

    def stops_at(rate: float) -> NDArray[np.int64]:
        return np.asarray(np.argmin(par + rate * price, axis=1), np.int64)

    def affordable(stops: NDArray[np.int64]) -> bool:
        return all(e.spent[every, stops].sum() <= e.budget for e in extra)

    if affordable(stops_at(LEAST_RATE)):
        return stops_at(LEAST_RATE)
    low, high = LEAST_RATE, 1.0
    while not affordable(stops_at(high)):
        low, high = high, 4 * high
    rate = least_where(lambda rate: affordable(stops_at(rate)), low, high)
    return _spend_rest(par + LEAST_RATE * price, extra, stops_at(rate))


def _spend_rest(par: NDArray[np.float64], extra: list[Expense], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Go on, in one layer after another, to where what is left of the budgets leads."""
    every = np.arange(len(par))
    while True:
        within = np.ones(par.shape, np.bool_)
        for e in extra:
            left = e.budget - e.spent[every, stops].sum()
            within &= e.spent - e.spent[every, stops][:, None] <= left
        reachable = np.where(within, par, np.inf)
        gain = par[every, stops] - reachable.min(axis=1)
        layer = int(np.argmax(gain))
        if gain[layer] <= 0:
            return stops
        stops[layer] = int(np.argmin(reachable[layer]))
