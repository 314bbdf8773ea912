"""layer_time(): the microseconds that a layer takes, which are those of its slowest GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError, setting
from equipoise.loads import Loads
from equipoise.serving.balance import slot_loads
from equipoise.serving.drawn import own_picks, served
from equipoise.serving.slot_shares import FILLED
from equipoise.timing.expert_cost import MOST_SPLIT
from equipoise.timing.poisson import expected_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from equipoise.placement import Placement
    from equipoise.serving.slot_shares import Routing
    from equipoise.timing.batch import Batch
    from equipoise.timing.expert_cost import ExpertCost

DRAWS = 512
SLOWER, LEAST_FILLED = 8, 4  # what is filled takes longer to draw
LEAST_DRAWS = 16  # of a window
PICKS, SCATTER = 0, 1  # what is drawn, each from a stream of its own


@dataclass(frozen=True, eq=False)
class LayerTime:
    """What a layer's experts take, where batches are drawn from each window's loads.

    Attributes
    ----------
    gpu : ndarray, float64 ``[windows, layers, gpus]``
        Expected microseconds of each GPU; 0 for dead ones.
    slowest : ndarray, float64 ``[windows, layers]``
        Expected microseconds of the slowest GPU of each batch, which the others wait for. That is more than the
        slowest of the expected: which GPU it is differs from batch to batch.
    error : ndarray, float64 ``[windows, layers]``
        Standard error of ``slowest``, from the draws that it is the mean of.
    busy : ndarray, bool ``[windows, layers]``
        Where there were loads to draw from; all else is 0 where there were none.
    beyond : bool
        Whether a slot gets more tokens, on average, than were measured, so that the cost's last slope goes on.
    complete : bool
        Whether every expert with a load has a replica; what is picked of others is served by nobody, and takes no time.
    """

    gpu: NDArray[np.float64]
    slowest: NDArray[np.float64]
    error: NDArray[np.float64]
    busy: NDArray[np.bool_]
    beyond: bool
    complete: bool

    def mean(self, weights: NDArray[np.float64] | None = None) -> tuple[float, float]:
        """Return the microseconds of a layer and their standard error, mean over all windows and layers not idle.

        Parameters
        ----------
        weights : ndarray, ``[windows, layers]``, optional
            How much each counts; all the same if not given.
        """
        weight = self._weight(weights)
        weight = weight / (weight.sum() or 1.0)
        return float((weight * self.slowest).sum()), float(np.sqrt(((weight * self.error) ** 2).sum()))

    def by_layer(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the microseconds of each layer, float64 ``[layers]``, mean over the windows in which it is not idle.

        weights: as :meth:`mean` takes them.
        """
        weight = self._weight(weights)
        total = weight.sum(axis=0)
        return np.asarray((weight * self.slowest).sum(axis=0) / np.where(total > 0, total, 1.0))

    def _weight(self, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        return np.asarray(self.busy * (1.0 if weights is None else weights), np.float64)


def layer_time(
    placement: Placement,
    loads: Loads | ArrayLike,
    batch: Batch,
    *,
    routing: Routing | ArrayLike = "even",
    draws: int = DRAWS,
    seed: int = 0,
) -> LayerTime:
    """Return the time of every layer of a placement, in microseconds, for batches like the loads.

    Every live GPU brings ``batch.tokens`` tokens, each of which picks ``batch.top_k`` experts as often as the window's
    loads say, so that the picks of a slot are a Poisson number: its mean is all picks times the slot's share of the
    layer's load. A GPU takes ``cost.gpu_time`` of its slots' picks: on average, the layer's cost and a sum over each
    slot's likely numbers. Who is slowest is drawn: the picks of all slots, and what GPUs differ by beyond their picks,
    by the scatter of the cost's fit.

    Where the routing is filled, the picks of a slot are no such number: there the picks of every GPU are drawn, and
    each fills with its own, and splits the experts that all GPUs' picks bring above the cost's floor.

    Parameters
    ----------
    placement : Placement
        Which expert each slot holds.
    loads : Loads or array_like, ``[windows, layers, experts]`` or fewer axes
        The traffic; only proportions within a layer and window count.
    batch : Batch
        Tokens of each GPU, the model's top-k, and the cost.
    routing : str or array_like, ``[layers, slots]``
        Which replica a token goes to; see :func:`equipoise.balance`, whose ``batch`` is ``batch.tokens``.
    draws : int
        Batches to draw for each layer, shared over the windows; 16 for each of them at least. An eighth of them where
        the routing is filled, and 4 at least.
    seed : int
        The same seed draws the same batches; what is to be added up needs one for each.

    Raises
    ------
    InputError
        If loads and placement differ in layers or experts, the routing is not as it should be, or a token selects more
        experts than there are.

    Examples
    --------
    >>> from equipoise import Batch, Cluster, ExpertCost, Placement
    >>> placement = Placement([[0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    >>> cost = ExpertCost(layer=67, expert=14.6, tiles={128: 16.8})
    >>> time = layer_time(placement, [[60, 30, 10]], Batch(tokens=1024, top_k=2, cost=cost))
    >>> time.gpu.round().tolist(), time.slowest.round().tolist()
    ([[[434.0, 331.0]]], [[434.0]])
    """
    loads = loads if isinstance(loads, Loads) else Loads(loads)
    if batch.top_k > placement.experts:
        raise InputError(
            f"{setting('top_k')} is {batch.top_k}, of {placement.experts} experts; expected at most all of them"
        )
    if isinstance(routing, str) and routing == FILLED:
        gpu, drawn, beyond = _filled(placement, loads, batch, max(draws // SLOWER // loads.windows, LEAST_FILLED), seed)
    else:
        expected = _expected_picks(placement, loads, batch, routing)  # [windows, layers, gpus, slots per GPU]
        gpu = batch.cost.layer + expected_time(batch.cost, expected).sum(axis=3)
        drawn = _drawn(expected, batch.cost, max(draws // loads.windows, LEAST_DRAWS), seed)
        beyond = bool(batch.cost.is_beyond(expected).any())
    live, busy = list(placement.cluster.live), np.asarray(loads.counts.any(axis=2))
    slowest, error = (flat.reshape(busy.shape) for flat in _slowest(drawn, live, batch.cost.scatter, seed))
    by_live = np.zeros_like(gpu)
    by_live[..., live] = gpu[..., live]
    complete = bool((placement.logcnt > 0)[loads.counts.any(axis=0)].all())
    return LayerTime(by_live * busy[..., None], slowest * busy, error * busy, busy, beyond, complete)


def _drawn(expected: NDArray[np.float64], cost: ExpertCost, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield the time of every GPU in so many batches, ``[draws, gpus]``, for one window and layer after the other."""
    rng = np.random.default_rng([seed, PICKS])
    for picks in expected.reshape(-1, *expected.shape[2:]):
        yield cost.gpu_time(rng.poisson(picks, (draws, *picks.shape)))


def _filled(
    placement: Placement, loads: Loads, batch: Batch, draws: int, seed: int
) -> tuple[NDArray[np.float64], Iterator[NDArray[np.float64]], bool]:
    """Return what every GPU takes on average, ``[windows, layers, gpus]``, what in every batch, and what is beyond.

    Each GPU fills with its own picks; a whole number of tokens is multiplied.
    """
    floor = (batch.cost.floor or MOST_SPLIT) - 1  # up to which it does not pay
    seeds = range(seed * draws, (seed + 1) * draws)
    slots = [
        [served(placement, own, FILLED, None, floor) for own in own_picks(placement, loads, batch.picks(1), None, one)]
        for one in seeds
    ]
    picks = np.rint(slots).reshape(draws, loads.windows, loads.layers, placement.cluster.gpus, -1)
    time = batch.cost.gpu_time(picks)
    by_layer = np.moveaxis(time.reshape(draws, -1, placement.cluster.gpus), 0, 1)
    return time.mean(axis=0), iter(by_layer), bool(batch.cost.is_beyond(picks.mean(axis=0)).any())


def _slowest(
    drawn: Iterable[NDArray[np.float64]], live: list[int], scatter: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of the slowest live GPU and its standard error, for every window and layer, flat."""
    rng = np.random.default_rng([seed, SCATTER])
    found = [slowest_gpu(time[:, live], scatter, rng) for time in drawn]
    return np.mean(found, axis=1), np.std(found, axis=1, ddof=1) / len(found[0]) ** 0.5


def error_of_mean(errors: NDArray[np.float64]) -> float:
    """Return the standard error of a mean from those of what it is the mean of, drawn apart from each other."""
    return float(np.sqrt((errors**2).sum()) / len(errors))


def slowest_gpu(gpu_time: NDArray[np.float64], scatter: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the slowest GPU's microseconds in every draw, ``[draws]``, of those of all GPUs, ``[draws, gpus]``.

    scatter: what GPUs differ by from what is expected of them, relative, as a standard deviation.
    """
    return np.asarray((gpu_time * (1 + scatter * rng.standard_normal(gpu_time.shape))).max(axis=1))


def _expected_picks(
    placement: Placement, loads: Loads, batch: Batch, routing: Routing | ArrayLike
) -> NDArray[np.float64]:
    """Return how many picks each slot gets on average, ``[windows, layers, gpus, slots per GPU]``."""
    cluster = placement.cluster
    load = slot_loads(placement, loads, routing=routing, batch=batch.tokens)
    total = loads.counts.sum(axis=2)[:, :, None]
    share = np.divide(load, total, out=np.zeros_like(load), where=total > 0)
    by_gpu: NDArray[np.float64] = share.reshape(loads.windows, loads.layers, cluster.gpus, -1)
    return batch.picks(len(cluster.live)) * by_gpu
