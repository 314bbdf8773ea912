"""What a random number of an expert's tokens takes on average: a sum over the numbers that are likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.timing.expert_cost import ExpertCost

# Means are taken at even distances of their square roots, where a Poisson number is as wide everywhere: half a unit.
STEP = 0.05
# Numbers farther than so many standard deviations from their mean come once in 10^8 times.
FAR = 6
# Of more numbers than this, every second, third, ... is summed.
TERMS = 512
AT_ONCE = 1024  # means


def expected_time(cost: ExpertCost, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the microseconds that an expert takes on average whose tokens are a Poisson number.

    The averages are summed for means that lie close to each other, and lines are drawn between: they are off by less
    than a thousandth, or a thousandth of what one token costs.

    Parameters
    ----------
    cost : ExpertCost
        What so many tokens take.
    tokens : ndarray, ``[...]``
        The mean of each number.
    """
    root = np.sqrt(tokens) / STEP
    below = np.unique(np.floor(root))
    at = np.unique(np.concatenate([below, below + 1]))
    means = np.split((at * STEP) ** 2, range(AT_ONCE, len(at), AT_ONCE))
    return np.asarray(np.interp(root, at, np.concatenate([_averages(cost, some) for some in means])))


def _averages(cost: ExpertCost, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the average time for each mean, ``[means]``."""
    from scipy.special import gammaln, xlogy

    width = FAR * (np.sqrt(means) + 1)
    first = np.floor(np.maximum(means - width, 0))
    apart = np.ceil(2 * width / TERMS)
    numbers = first[:, None] + apart[:, None] * np.arange(TERMS)  # [means, terms]
    weight = np.exp(xlogy(numbers, means[:, None]) - means[:, None] - gammaln(numbers + 1))
    return np.asarray((weight * cost.expert_time(numbers)).sum(axis=1) / weight.sum(axis=1))
