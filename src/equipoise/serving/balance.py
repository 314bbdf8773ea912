"""GPU loads, PAR and balancedness of a placement under given loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from equipoise.errors import InputError, check_choice, check_count, check_positive, setting
from equipoise.loads import Loads
from equipoise.serving.drawn import DRAWS, own_picks, served
from equipoise.serving.fill import fill
from equipoise.serving.slot_shares import FILLED, Routing, in_slots, slot_shares

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from equipoise.placement import Placement

AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Balance:
    """How evenly a placement spreads loads over the GPUs.

    Attributes
    ----------
    gpu_load : ndarray, float64 ``[windows, layers, gpus]``
        Load of each GPU, in the unit of the loads; where batches were drawn, picks ``[draws, windows, layers, gpus]``,
        and all that follows is a mean over the draws.
    live : int
        GPUs that share the load: all but the dead ones.
    """

    gpu_load: NDArray[np.float64]
    live: int

    @property
    def peak(self) -> NDArray[np.float64]:
        """Largest GPU load, ``[windows, layers]``."""
        return self._over_draws(self.gpu_load.max(axis=-1))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean load of the live GPUs, ``[windows, layers]``."""
        return self._over_draws(self.gpu_load.sum(axis=-1) / self.live)

    @property
    def par(self) -> NDArray[np.float64]:
        """Peak / mean, ``[windows, layers]``: 1 is perfect, and what an idle layer has."""
        peak, mean = self.gpu_load.max(axis=-1), self.gpu_load.sum(axis=-1) / self.live
        return self._over_draws(np.divide(peak, mean, out=np.ones_like(peak), where=mean > 0))

    @property
    def par_of_layers(self) -> NDArray[np.float64]:
        """PAR, mean over the windows in which the layer is not idle, ``[layers]``; 1 where it always is."""
        return self._over_busy(axis=0)

    @property
    def par_of_windows(self) -> NDArray[np.float64]:
        """PAR, mean over the layers that are not idle, ``[windows]``; 1 where all are."""
        return self._over_busy(axis=1)

    @property
    def mean_par(self) -> float:
        """PAR, mean over all windows and layers that are not idle; 1 where all are."""
        return float(self._over_busy(axis=(0, 1)))

    def _over_busy(self, axis: int | tuple[int, int]) -> NDArray[np.float64]:
        busy = self.mean > 0
        total, number = (self.par * busy).sum(axis=axis), busy.sum(axis=axis)
        return np.asarray(np.where(number > 0, total / np.maximum(number, 1), 1.0))

    @property
    def balancedness(self) -> NDArray[np.float64]:
        """1 / PAR, ``[windows, layers]``."""
        return 1 / self.par

    def _over_draws(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(values.mean(axis=0) if self.gpu_load.ndim == 4 else values)


def balance(
    placement: Placement,
    loads: Loads | ArrayLike,
    *,
    routing: Routing | ArrayLike = "even",
    batch: int | None = None,
    sources: ArrayLike | None = None,
    picks: int | None = None,
    floor: float = 0.0,
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
        :func:`equipoise.slot_shares`, also for ``batch`` and ``sources``. Or "filled": so that GPU loads are as even
        as the placement allows, in each window and layer: the largest is the least there is, then the next largest.
    picks : int, optional
        Draw batches in which each GPU brings so many picks (tokens times top-k) on average, four of them for each
        window, the same every time. Then "filled" is what each GPU does knowing no more than its own; and other
        routings are what they do with the same batches.
    floor : float
        Load, or picks of all GPUs, up to which a filled expert is not split: its primary takes it whole.

    Raises
    ------
    InputError
        If loads and placement differ in layers or experts, the routing is not as it should be, or sources are given
        for a fill that knows all picks.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> placement = Placement([[0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    >>> result = balance(placement, [[60, 30, 10]])
    >>> result.gpu_load.tolist(), result.par.tolist()
    ([[[60.0, 40.0]]], [[1.2]])
    >>> balance(placement, [[60, 30, 10]], routing=[[0.25, 1, 1, 0.75]]).gpu_load.tolist()
    [[[45.0, 55.0]]]
    >>> balance(placement, [[60, 30, 10]], routing="filled").gpu_load.round(6).tolist()
    [[[50.0, 50.0]]]
    >>> for rule in ("even", "filled"):
    ...     print(balance(placement, [[60, 30, 10]], routing=rule, picks=64).par.round(2).tolist())
    [[1.2]]
    [[1.0]]
    """
    loads = loads if isinstance(loads, Loads) else Loads(loads)
    if isinstance(routing, str):
        check_choice(setting("routing"), routing, get_args(Routing))
    if batch is not None:
        check_count(setting("batch"), batch)
    if floor != 0:
        check_positive(setting("floor"), floor)
    asked: dict[str, Any] = {"batch": batch, "sources": sources, "floor": floor}
    if picks is not None:
        return drawn_balances(placement, loads, [routing], picks, **asked)[0]
    parts = (slot_loads(placement, some, routing=routing, **asked) for some in _parts(loads))
    return Balance(np.concatenate([_by_gpu(part, placement) for part in parts]), len(placement.cluster.live))


def drawn_balances(
    placement: Placement,
    loads: Loads,
    routings: Sequence[Routing | ArrayLike],
    picks: int,
    *,
    batch: int | None = None,
    sources: ArrayLike | None = None,
    floor: float = 0.0,
) -> list[Balance]:
    """Return the balance under each routing in the same batches; see :func:`balance`.

    Raises
    ------
    InputError
        If loads and placement differ in layers or experts.
    """
    placement.check_loads(loads)
    draws = (own_picks(placement, loads, picks, sources, seed) for seed in range(DRAWS))
    gpu_load = np.array(
        [
            [_by_gpu(served(placement, own, routing, batch, floor), placement) for routing in routings]
            for own in map(np.array, zip(*draws, strict=True))  # of a window: [draws, layers, gpus, experts]
        ]
    )
    live = len(placement.cluster.live)
    return [Balance(of_routing.swapaxes(0, 1), live) for of_routing in gpu_load.swapaxes(0, 1)]


def _parts(loads: Loads) -> Iterator[Loads]:
    """Yield the loads, some windows at once: all slots of many windows would take more memory than the loads do."""
    if loads.windows <= AT_ONCE:
        yield loads
        return
    for start in range(0, loads.windows, AT_ONCE):
        yield Loads(loads.counts[start : start + AT_ONCE])


def _by_gpu(slot_load: NDArray[np.float64], placement: Placement) -> NDArray[np.float64]:
    """Return the load of each GPU, ``[..., gpus]``, from that of each slot, ``[..., slots]``."""
    per_gpu = slot_load.reshape(*slot_load.shape[:-1], placement.cluster.gpus, -1)
    return np.asarray(per_gpu.sum(axis=-1))


def slot_loads(
    placement: Placement,
    loads: Loads,
    *,
    routing: Routing | ArrayLike = "even",
    batch: int | None = None,
    sources: ArrayLike | None = None,
    floor: float = 0.0,
) -> NDArray[np.float64]:
    """Return the load of each slot, ``[windows, layers, slots]``; all is as :func:`balance` takes it.

    Raises
    ------
    InputError
        As :func:`balance` does.
    """
    placement.check_loads(loads)
    if isinstance(routing, str) and routing == "even":
        return in_slots(loads.counts / np.maximum(placement.logcnt, 1), placement) * (placement.phy2log >= 0)
    if isinstance(routing, str) and routing == FILLED:
        if sources is not None:
            raise InputError(
                f"{setting('sources')} are for GPUs that know their own picks; expected {setting('picks')} too"
            )
        return fill(placement, loads.counts, floor)
    return in_slots(loads.counts, placement) * slot_shares(placement, routing, batch=batch, sources=sources)
