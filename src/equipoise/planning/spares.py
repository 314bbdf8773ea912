"""Plans for a router that fills: as many primaries on every GPU as on any other, and spares where they help most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.current import Current
from equipoise.planning.domains import domains_of
from equipoise.serving.primaries import primaries
from equipoise.solver.threads import share_out, worthwhile_workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.planning.request import Request
    from equipoise.planning.searching import Found

# More windows are no better here.
WINDOWS = 8
LEAST_TRIES = 16
STEPS_PER_TRY = 4  # for each slot and window


def with_spares(request: Request, found: Found) -> Found:
    """Level the primaries of what was found, and search on from there, within what moves are left of a re-plan.

    Layers in which a GPU must hold an expert twice stay as they are.
    """
    from equipoise.solver.spares import Domains, Layer, empty_work, spread_layers

    placement, gpus = found.placement, list(request.cluster.live)
    scenarios = request.expected.folded(WINDOWS)
    mean = scenarios.mean.sum(axis=1) / len(gpus)
    loads = np.swapaxes(scenarios.counts / np.where(mean > 0, mean, 1.0)[:, None], 0, 1).copy()
    weights = scenarios.weights.T.copy()
    domains = Domains(domains_of(request.cluster, request.across), request.min_replicas, _nodes(request))
    slots = placement.by_gpu[:, gpus].copy()
    primary = _is_primary(placement)[:, gpus].copy()
    held = _held(request, placement)
    layers = np.flatnonzero((placement.duplicates == 0) & scenarios.counts.any(axis=(0, 2)))
    if not len(layers):
        return found
    some = Layer(slots[layers], primary[layers], loads[layers], weights[layers], held[layers])
    room = _room(request, placement, held)[layers]
    tries = request.settings.filled_work // (scenarios.windows * slots[0].size)

    def begin() -> Callable[[slice], None]:
        work = empty_work(placement.experts, slots[0].size, len(gpus), scenarios.windows)

        def spread_part(part: slice) -> None:
            loads_and_weights = some.loads[part], some.weights[part]
            layer = Layer(some.slots[part], some.primary[part], *loads_and_weights, some.held[part])
            spread_layers(layer, domains, room[part], tries, work)

        return spread_part

    workers = request.workers or worthwhile_workers(len(layers) * slots[0].size * STEPS_PER_TRY * (LEAST_TRIES + tries))
    share_out(len(layers), min(workers, len(layers)), begin, None)
    slots[layers] = some.slots
    return found._replace(placement=Placement.on_live(slots, request.cluster, placement.experts))


def primaries_over(placement: Placement, nodes: int) -> NDArray[np.int64]:
    """Return how many primaries the fullest live GPU has beyond what one must have at least, int64 ``[layers]``.

    nodes: how many have experts of their own, as many each; 1 where experts may live anywhere.
    """
    most = _is_primary(placement).sum(axis=2).max(axis=1)
    live = np.isin(np.arange(placement.cluster.gpus), placement.cluster.live).reshape(nodes, -1).sum(axis=1)
    must = max(-(-(placement.experts // nodes) // int(gpus)) for gpus in live)
    return np.asarray(np.maximum(most - must, 0), np.int64)


def _is_primary(placement: Placement) -> NDArray[np.bool_]:
    """Return whether a slot holds its expert's primary, bool ``[layers, gpus, slots per GPU]``."""
    found = np.zeros(placement.phy2log.shape, np.bool_)
    layer, expert = np.nonzero(placement.logcnt)
    found[layer, primaries(placement)[layer, expert]] = True
    return found.reshape(placement.by_gpu.shape)


def _nodes(request: Request) -> NDArray[np.int64]:
    """Return between which live GPUs experts may be exchanged, int64 ``[gpus]``: those with the same number."""
    return np.array(request.cluster.live, np.int64) // (request.cluster.gpus // request.home_nodes)


def _held(request: Request, placement: Placement) -> NDArray[np.bool_]:
    """Return what each live GPU has without a move, bool ``[layers, live gpus, experts]``."""
    if request.current is None:
        return np.ones((placement.layers, len(request.cluster.live), placement.experts), np.bool_)
    return np.asarray(Current(request, request.current, request.off_node).held)


def _room(request: Request, placement: Placement, held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many moves more each layer may make, int64 ``[layers]``: an equal part of what is left."""
    layers = placement.layers
    if request.current is None or np.isinf(request.most_moves):
        return np.full(layers, placement.experts * placement.cluster.gpus)
    moved = np.count_nonzero(placement.held[:, list(request.cluster.live)] & ~held)
    left = max(int(request.most_moves) - int(moved), 0)
    return np.array([left // layers + (layer < left % layers) for layer in range(layers)], np.int64)
