"""fill(): every expert's load shared over its replicas so that GPU loads are as even as the placement allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.serving.primaries import primaries

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.placement import Placement

# Of the mean GPU load. The peak is off by some times as much at most, and on average by less.
TOLERANCE = 1e-7
SLOTS_PER_STEP = 100  # to share out one slot's load takes as long as so many steps of a search


def fill(placement: Placement, counts: NDArray[np.float64], floor: float = 0.0) -> NDArray[np.float64]:
    """Return the load of each slot, float64 ``[problems, layers, slots]``.

    The largest GPU load is the least that any split of these loads can have, then the next largest, and so on. An
    expert whose load is at most the floor goes to its primary whole. Of an expert's replicas on one GPU the first gets
    all.

    Parameters
    ----------
    placement : Placement
        Which expert each slot holds.
    counts : ndarray, float64 ``[problems, layers, experts]``
        Loads to share, each problem by itself.
    floor : float
        Load up to which an expert is not split.
    """
    from equipoise.solver.fill import Rules, empty_vessels, fill_layers
    from equipoise.solver.threads import share_out, worthwhile_workers

    cluster, (problems, layers, experts) = placement.cluster, counts.shape
    by_layer = np.array(counts.swapaxes(0, 1), order="C")  # never read-only, which would be another type to compile for
    slot_load = np.empty((layers, problems, cluster.slots))
    rules = Rules(cluster.slots_per_gpu, float(floor), TOLERANCE)
    # Without load it does not matter which it is.
    primary = (primaries(placement) if floor else placement.log2phy[:, :, 0]).copy()

    def begin() -> Callable[[slice], None]:
        vessels = empty_vessels(experts, cluster.slots, cluster.gpus)

        def fill_part(part: slice) -> None:
            fill_layers(by_layer[part], placement.log2phy[part], primary[part], rules, vessels, slot_load[part])

        return fill_part

    workers = worthwhile_workers(layers * problems * cluster.slots * SLOTS_PER_STEP)
    share_out(layers, min(workers, layers), begin, None)
    return slot_load.swapaxes(0, 1)
