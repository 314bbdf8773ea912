"""Loads as mixtures of a few kinds of traffic, whose shares are followed one step into the future.

All sums are NumPy's own, in one order. A library for linear algebra adds up in another one on another processor, and
ranks that do not agree on the last bit may not agree on the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.planning.scenarios import Scenarios

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads

# More kinds of traffic than this are taken for noise.
MOST_FACTORS = 4
# Rounds of power iteration for each: two that are equally large may end mixed, which is as good.
ROUNDS = 15
STEPS = 4  # of each round, after which lengths are made 1 again
# What is smaller than this share of all that varies is rounding.
LEAST_SIZE = 1e-9


def follow_factors(loads: Loads) -> Scenarios:
    """Return a scenario for every step in the past: what comes now if the shares change as they did then.

    In every layer the windows are their mean and a few factors, the principal components, in changing shares. Each
    share tends back to its mean as fast as it did in the past, and is driven by what drove it in one of the steps.
    """
    past = Scenarios(loads)
    if past.windows < 3:
        return past
    # Powers of 2 change no digit; squares of loads as they are may be too large or too small for a float.
    unit = np.ldexp(1.0, np.frexp(past.counts.max(axis=(0, 2)))[1] - 1)[:, None]
    counts = past.counts / unit
    mean = counts.mean(axis=0)
    factors = [(_follow(shares), factor) for shares, factor in _factors(counts - mean)]
    come = np.tile(mean, (past.windows - 1, 1, 1))
    for step, window in enumerate(come):  # one at a time, which stays in the processor's cache
        for shares, factor in factors:
            window += shares[step][:, None] * factor
    return Scenarios(np.maximum(come, 0.0) * unit)


def _follow(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return to what shares of a factor ``[windows, layers]`` come next, by each step: ``[windows - 1, layers]``."""
    earlier, later = shares[:-1], shares[1:]
    persistence = np.clip(_ratio((earlier * later).sum(axis=0), (earlier * earlier).sum(axis=0)), 0.0, 1.0)
    return np.asarray(persistence * shares[-1] + (later - persistence * earlier))


def _factors(around: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return shares ``[windows, layers]`` and factors ``[layers, experts]`` of deviations from the mean.

    around: float64 ``[windows, layers, experts]``. The factors are found one by one, by power iteration from the window
    that is farthest from the mean.
    """
    gram = np.empty((len(around), *around.shape[:2]))  # [windows, windows, layers]
    for at, window in enumerate(around):
        gram[at, at:] = gram[at:, at] = (around[at:] * window).sum(axis=2)
    gram = _ratio(gram, np.diagonal(gram).sum(axis=1))
    layers = np.arange(gram.shape[2])
    found: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for _ in range(min(MOST_FACTORS, len(around) - 1)):
        unit = _unit(gram[np.diagonal(gram).argmax(axis=1), :, layers].T, LEAST_SIZE)
        for _ in range(ROUNDS):
            for _ in range(STEPS):
                unit = (gram * unit[:, None]).sum(axis=0)
            unit = _unit(unit, 0.0)
        gram = gram - unit[:, None] * (gram * unit[:, None]).sum(axis=0)
        found.append((unit, (unit[:, :, None] * around).sum(axis=0)))
    return found


def _unit(vectors: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Return vectors ``[windows, layers]`` of length 1, or of length 0 where they are not longer than ``least``."""
    size = np.sqrt((vectors * vectors).sum(axis=0))
    return _ratio(vectors, np.where(size > least, size, 0.0))


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio; 0 where there is nothing to divide by."""
    return np.asarray(np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0))
