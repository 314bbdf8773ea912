"""Loads as they were recorded: whole numbers where they are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads


def recorded_counts(loads: Loads) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return the counts as int64 if all are whole and fit, otherwise as they are, float64."""
    counts = loads.counts
    whole = counts.max() < 2**63 and np.array_equal(counts, np.floor(counts))
    return counts.astype(np.int64) if whole else counts
