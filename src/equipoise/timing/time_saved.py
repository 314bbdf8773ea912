"""What one placement in the place of another saves: the time of their layers, beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.timing.layer_time import layer_time

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.placement import Placement
    from equipoise.serving.slot_shares import Routing
    from equipoise.timing.batch import Batch
    from equipoise.timing.layer_time import LayerTime


@dataclass(frozen=True, eq=False)
class TimeSaved:
    """The layer time of two placements for batches of one size.

    Attributes
    ----------
    batch : Batch
        How many tokens each GPU brings, and what they cost.
    before, after : LayerTime
        What each placement takes.
    weights : ndarray, ``[windows, layers]``, or None
        How much each window counts; all the same where there are none.
    """

    batch: Batch
    before: LayerTime
    after: LayerTime
    weights: NDArray[np.float64] | None

    @property
    def share(self) -> float | None:
        """Share of the time of a layer that is saved; below 0 where more is taken.

        None where that is not known: nothing was served, or one of the placements lacks an expert.
        """
        before = self.before.mean(self.weights)[0]
        known = before > 0 and self.before.complete and self.after.complete
        return 1 - self.after.mean(self.weights)[0] / before if known else None


def time_saved(
    placements: tuple[Placement, Placement],
    loads: Loads,
    batch: Batch,
    routing: Routing = "even",
    weights: NDArray[np.float64] | None = None,
) -> TimeSaved:
    """Return what a placement and the next one take for batches like the loads.

    Raises
    ------
    InputError
        If loads and placements differ in layers or experts.
    """
    before, after = (layer_time(placement, loads, batch, routing=routing) for placement in placements)
    return TimeSaved(batch, before, after, weights)
