"""What is measured to fit a cost: GPUs with few and many experts, whose tokens are few and many, even and uneven."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_TOKENS = 4096  # of an expert, on average
SPREADS = (None, 0.0, 0.5, 1.0)
"""How tokens differ from expert to expert: not at all, by chance, or by a popularity of this sigma too."""


def points_to_fit(slots: Sequence[int], points: int) -> list[NDArray[np.int64]]:
    """Return so many GPUs to measure, each as the tokens of its slots; of fewer points, those are the first.

    They take turns: through the numbers of slots, through experts that are all active or only some of them, and through
    the spreads. Tokens of an expert are from 1 to 4,096 on average, as often below 64 as above.

    Parameters
    ----------
    slots : sequence of int
        Numbers of slots of a GPU.
    points : int
        How many GPUs to return.

    Examples
    --------
    >>> [len(gpu) for gpu in points_to_fit([8, 9], 3)]
    [8, 9, 8]
    """
    rng = np.random.default_rng(0)
    kinds = list(product(SPREADS, (True, False), slots))
    return [_gpu(*kinds[point % len(kinds)], rng) for point in range(points)]


def as_table(gpus: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the same GPUs ``[gpus, slots]``; slots that are not there have no tokens.

    Examples
    --------
    >>> as_table([np.array([5]), np.array([1, 2])]).tolist()
    [[5, 0], [1, 2]]
    """
    table = np.zeros((len(gpus), max(map(len, gpus))), dtype=np.int64)
    for row, gpu in zip(table, gpus, strict=True):
        row[: len(gpu)] = gpu
    return table


def popularity(spread: float, experts: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return what share of the mean load each expert gets: 1 on average, its logarithm normal with this sigma."""
    drawn = rng.lognormal(sigma=spread, size=experts)
    return np.asarray(drawn / drawn.mean())


def _gpu(spread: float | None, all_active: bool, slots: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the tokens of each slot; an active one has at least one."""
    mean = MOST_TOKENS ** rng.random()
    active = slots if all_active else int(rng.integers(1, slots + 1))
    at = rng.permutation(slots)[:active]
    tokens = np.zeros(slots, dtype=np.int64)
    if spread is None:
        tokens[at] = round(mean)
    else:
        tokens[at] = np.maximum(rng.poisson(mean * popularity(spread, active, rng)), 1)
    return tokens
