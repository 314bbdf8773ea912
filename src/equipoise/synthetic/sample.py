"""The sample: a synthetic load in DeepSeek-V3's shape, for a first look without a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.loads import Loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOWS, LAYERS, EXPERTS, GROUPS = 16, 58, 256, 8
SELECTIONS = 8_000_000  # of one layer in one window
KINDS = 4  # kinds of traffic (chat, code, ...) whose mixture drifts


def sample_loads(seed: int = 0) -> Loads:
    """Return a synthetic load in DeepSeek-V3's shape: 16 windows of 58 layers of 256 experts.

    Nothing of it was recorded. Spread, tail, group skew and drift are set to resemble what was measured on
    real DeepSeek-V3 serving: the hottest expert has about 6 times the mean load (median over layers). The
    counts are whole numbers, about 8 million token selections per layer and window.

    The same seed gives the same counts with every NumPy version: the streams of ``RandomState`` are frozen,
    and rates are rounded before counts are drawn, which hides last-digit differences in ``exp``. Between
    processors and mathematics libraries NumPy promises no identical bits.

    Parameters
    ----------
    seed : int, 0 to 2**32 - 1
        Another seed, another load.

    Examples
    --------
    >>> sample_loads().counts.shape
    (16, 58, 256)
    """
    random = np.random.RandomState(seed)
    rate = np.einsum("wk,kle->wle", _drifting_mixture(random), _popularity(random)) * SELECTIONS
    counts = random.poisson(np.rint(rate))
    return Loads(counts, tuple(f"synthetic {window}" for window in range(WINDOWS)))


def _drifting_mixture(random: np.random.RandomState) -> NDArray[np.float64]:
    """Return the weight of each kind in each window, ``[windows, kinds]``: softmax of an AR(1) walk."""
    persistence, spread = 0.85, 1.5
    logits = spread * random.standard_normal((WINDOWS, KINDS))
    for window in range(1, WINDOWS):
        logits[window] *= np.sqrt(1 - persistence**2)
        logits[window] += persistence * logits[window - 1]
    return _shares(logits)


def _popularity(random: np.random.RandomState) -> NDArray[np.float64]:
    """Return each expert's share of its layer in each kind of traffic, ``[kinds, layers, experts]``."""
    lasting = random.standard_normal((LAYERS, EXPERTS))
    topical = random.standard_normal((KINDS, LAYERS, EXPERTS))
    group = np.repeat(random.standard_normal((LAYERS, GROUPS)), EXPERTS // GROUPS, axis=1)
    spread = random.uniform(0.6, 0.75, (LAYERS, 1))
    return _shares(spread * (0.85 * lasting + 0.55 * topical) + 0.45 * group)


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax over the last axis."""
    weight: NDArray[np.float64] = np.exp(logits)
    weight /= weight.sum(axis=-1, keepdims=True)
    return weight
