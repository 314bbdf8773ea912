"""Recorders' ring buffers, which are written with the steps that were never recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.loads import Loads

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def recorded_steps(counts: ArrayLike) -> Loads:
    """Return the steps ``[steps, layers, experts]`` as windows, without those of nothing but zeros.

    Once the buffer has wrapped, the steps are not in the order of time. If nothing was recorded, all steps stay.
    """
    loads = Loads(counts)
    recorded = loads.counts.any(axis=(1, 2))
    return Loads(loads.counts[recorded]) if recorded.any() else loads
