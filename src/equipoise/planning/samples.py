"""A count is a sample: how much of what loads show is more than the chance of the draw, and loads shrunk by that.

Selections of an expert are a Poisson number around its true load, and true loads are spread around their mean. What the
counts' variance has beyond Poisson's is the variance of the true loads; its share of the whole is how far a count is to
be trusted, and by it the best guess of the true load lies between the mean and the count (empirical Bayes for a Gamma
prior; Robbins 1956, Morris 1983).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.planning.scenarios import Scenarios
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.placement import Placement
    from equipoise.serving.slot_shares import Routing

WHOLLY = 0.95  # from this share on, counts are taken as they are
DRAWS = 8


def trust(loads: Loads) -> NDArray[np.float64]:
    """Return how far the loads of each layer are to be trusted, float64 ``[layers]``, 0 to 1.

    The share of their spread that is more than chance, over all windows together; from 0.95 on wholly, 1. So are idle
    layers and what is no count of selections, such as shares.

    Examples
    --------
    >>> from equipoise import Loads
    >>> trust(Loads([[6, 2, 3, 1], [600, 200, 300, 100], [0.6, 0.2, 0.3, 0.1]])).round(2).tolist()
    [0.36, 1.0, 1.0]
    """
    beyond = _beyond_chance(loads)
    return np.where(beyond < WHOLLY, beyond, 1.0)


def _beyond_chance(loads: Loads) -> NDArray[np.float64]:
    total = loads.counts.sum(axis=0)
    mean, spread = total.mean(axis=1), total.var(axis=1, ddof=min(1, loads.experts - 1))
    beyond = 1 - np.divide(mean, spread, out=np.ones_like(mean), where=spread > mean)
    counts = (loads.counts == np.rint(loads.counts)).all(axis=(0, 2)) & (mean > 0)
    return np.where(counts, beyond, 1.0)


def shrunk(scenarios: Scenarios, share: NDArray[np.float64]) -> Scenarios:
    """Return scenarios whose experts differ from their layer's mean by that share of what they do, ``[layers]``."""
    if (share == 1).all():
        return scenarios
    mean = scenarios.counts.mean(axis=2, keepdims=True)
    by_layer = share[:, None]
    counts = np.where(by_layer == 1, scenarios.counts, mean + by_layer * (scenarios.counts - mean))
    return Scenarios(counts, scenarios.weights)


def par_to_expect(placement: Placement, loads: Loads, routing: Routing) -> float:
    """Return the mean PAR of a placement on more of the same traffic, whose true loads the counts only sample.

    True loads are drawn from what the counts leave open: a Gamma distribution around the best guess, whose variance is
    the guess times the share that is to be trusted.
    """
    share, total = _beyond_chance(loads)[:, None], loads.counts.sum(axis=0)
    mean = total.mean(axis=1, keepdims=True)
    guess = mean + share * (total - mean)
    open_to_chance = (share > 0) & (share < 1)
    scale = np.where(open_to_chance, share, 1.0)
    drawn = np.random.default_rng(0).gamma(guess / scale, scale, (DRAWS, *total.shape))
    return balance(placement, np.where(open_to_chance, drawn, guess), routing=routing).mean_par
