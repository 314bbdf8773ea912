"""Loads as mixtures of a few kinds of traffic, whose shares are followed one step into the future."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.scenarios import Scenarios

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads

# More kinds of traffic than this are taken for noise.
MOST_FACTORS = 4


def follow_factors(loads: Loads) -> Scenarios:
    """Return a scenario for every step in the past: what comes now if the shares change as they did then.

    In every layer the windows are their mean and a few factors, the principal components, in changing shares. Each
    share tends back to its mean as fast as it did in the past, and is driven by what drove it in one of the steps.
    """
    past = Scenarios(loads)
    if past.windows < 3:
        return past
    counts = np.stack([_follow(past.counts[:, layer]) for layer in range(loads.layers)], axis=1)
    return Scenarios(counts)


def _follow(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scenarios of one layer, ``[windows - 1, experts]``, from its windows ``[windows, experts]``."""
    mean = counts.mean(axis=0)
    around = counts - mean
    left, size, right = np.linalg.svd(around, full_matrices=False)
    shares = (left * size)[:, :MOST_FACTORS]
    earlier, later = shares[:-1], shares[1:]
    energy = (earlier**2).sum(axis=0)
    persistence = np.divide((earlier * later).sum(axis=0), energy, out=np.zeros_like(energy), where=energy > 0)
    persistence = np.clip(persistence, 0, 1)
    expected = persistence * shares[-1] + (later - persistence * earlier)
    return np.asarray(np.maximum(mean + (expected[:, :, None] * right[:MOST_FACTORS]).sum(axis=1), 0))
