"""GPU loads, PAR and balancedness of a placement under given loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError
from equipoise.loads import Loads
from equipoise.serving.slot_shares import slot_shares

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from equipoise.placement import Placement
    from equipoise.serving.slot_shares import Routing


@dataclass(frozen=True, eq=False)
class Balance:
    """How evenly a placement spreads loads over the GPUs.

    Attributes
    ----------
    gpu_load : ndarray, float64 ``[windows, layers, gpus]``
        Load of each GPU, in the unit of the loads.
    live : int
        GPUs that share the load: all but the dead ones.
    """

    gpu_load: NDArray[np.float64]
    live: int

    @property
    def peak(self) -> NDArray[np.float64]:
        """Largest GPU load, ``[windows, layers]``."""
        return np.asarray(self.gpu_load.max(axis=2))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean load of the live GPUs, ``[windows, layers]``."""
        return np.asarray(self.gpu_load.sum(axis=2) / self.live)

    @property
    def par(self) -> NDArray[np.float64]:
        """Peak / mean, ``[windows, layers]``: 1 is perfect, and what an idle layer has."""
        return np.divide(self.peak, self.mean, out=np.ones_like(self.peak), where=self.mean > 0)

    @property
    def balancedness(self) -> NDArray[np.float64]:
        """1 / PAR, ``[windows, layers]``."""
        return 1 / self.par


def balance(
    placement: Placement,
    loads: Loads | ArrayLike,
    *,
    routing: Routing | ArrayLike = "even",
    batch: int | None = None,
    sources: ArrayLike | None = None,
) -> Balance:
    """Return the GPU loads of a placement, each expert's load split over its replicas as an engine does.

    An empty slot has no load; nor does an expert without any replica.

    Parameters
    ----------
    placement : Placement
        Which expert each slot holds.
    loads : Loads or array_like, ``[windows, layers, experts]`` or fewer axes
        The traffic to serve; every window is judged by itself.
    routing : str or array_like, ``[layers, slots]``
        Which replica a token goes to: evenly any, as an engine does, or with shares of your own; see
        :func:`equipoise.serving.slot_shares.slot_shares`, also for ``batch`` and ``sources``.

    Raises
    ------
    InputError
        If loads and placement differ in layers or experts, or the routing is not as it should be.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> placement = Placement([[0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    >>> result = balance(placement, [[60, 30, 10]])
    >>> result.gpu_load.tolist(), result.par.tolist()
    ([[[60.0, 40.0]]], [[1.2]])
    >>> balance(placement, [[60, 30, 10]], routing=[[0.25, 1, 1, 0.75]]).gpu_load.tolist()
    [[[45.0, 55.0]]]
    """
    loads = loads if isinstance(loads, Loads) else Loads(loads)
    slot_load = slot_loads(placement, loads, routing=routing, batch=batch, sources=sources)
    per_gpu = slot_load.reshape(loads.windows, loads.layers, placement.cluster.gpus, -1)
    return Balance(per_gpu.sum(axis=3), len(placement.cluster.live))


def slot_loads(
    placement: Placement,
    loads: Loads,
    *,
    routing: Routing | ArrayLike = "even",
    batch: int | None = None,
    sources: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return the load of each slot, ``[windows, layers, slots]``; all is as :func:`balance` takes it.

    Raises
    ------
    InputError
        If loads and placement differ in layers or experts, or the routing is not as it should be.
    """
    if (loads.layers, loads.experts) != (placement.layers, placement.experts):
        raise InputError(
            f"the loads have {loads.layers} layers of {loads.experts} experts, the placement {placement.layers} "
            f"of {placement.experts}; expected the same"
        )
    if isinstance(routing, str) and routing == "even":
        return _in_slots(loads.counts / np.maximum(placement.logcnt, 1), placement) * (placement.phy2log >= 0)
    return _in_slots(loads.counts, placement) * slot_shares(placement, routing, batch=batch, sources=sources)


def _in_slots(load: NDArray[np.float64], placement: Placement) -> NDArray[np.float64]:
    """Return for every slot what its expert has, ``[windows, layers, slots]``; of empty ones, what expert 0 has."""
    windows, layers, experts = load.shape
    at = np.maximum(placement.phy2log, 0) + experts * np.arange(layers)[:, None]
    return np.asarray(load.reshape(windows, -1).take(at, axis=1))
