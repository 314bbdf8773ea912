"""The router on recorded loads: what all GPUs send together, and what share of it leaves the node.

Each GPU routes a batch of its own, whose mix is off by a lognormal factor for each expert, in whole picks. Plans are
made on some windows, and the batches drawn from another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.filled import SPREAD
from equipoise import Cluster, plan
from equipoise.router.held import Held
from equipoise.router.operators import route
from equipoise.router.primary_first import primary_first
from equipoise.router.reference import look_up
from equipoise.router.rules import RoutingRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from equipoise import Placement

BATCHES = (512, 8192, 65536)  # picks of a GPU
TOP_K = 8
CLUSTER = Cluster(gpus=32, nodes=4, slots_per_gpu=9)
EVERY = 6  # only every so many layers are routed
PAST, AHEAD = slice(1, 4), 0  # windows planned on, and the one that is served


@dataclass(frozen=True)
class Routed:
    """What a way of routing makes of batches, mean over the layers.

    Attributes
    ----------
    way : str
        Who chooses the replica.
    picks : int
        Of each GPU.
    par : float
        Of what all GPUs send together.
    kept : float
        Share of the picks that stay on the GPU that routes them.
    leaving : float
        Share that leaves its node.
    """

    way: str
    picks: int
    par: float
    kept: float
    leaving: float


def route_batches(counts: NDArray[np.int64]) -> list[Routed]:
    """Return what each way makes of the batches; counts: recorded, ``[windows, layers, experts]``."""
    placement = plan(counts[PAST], CLUSTER, routing="filled").placement
    found = []
    for picks in BATCHES:
        batches = list(_batches(counts[AHEAD], picks))
        found += [
            _judged(way, picks, [_sent(placement, layer, batch, choose) for layer, batch in batches])
            for way, choose in WAYS.items()
        ]
    return found


def _batches(counts: NDArray[np.int64], picks: int) -> Iterator[tuple[int, list[torch.Tensor]]]:
    """Yield layers, and what each GPU's tokens pick there, ``[tokens, top_k]``."""
    for layer in range(0, len(counts), EVERY):
        rng = np.random.default_rng([layer, picks])
        mix = counts[layer] * rng.lognormal(0, SPREAD, (CLUSTER.gpus, counts.shape[1]))
        shares = mix / mix.sum(axis=1, keepdims=True)
        yield layer, [torch.from_numpy(rng.choice(len(share), (picks // TOP_K, TOP_K), p=share)) for share in shares]


def _hashed(picks: torch.Tensor, held: Held, rank: int) -> torch.Tensor:
    return look_up(picks, held.log2phy, held.logcnt)


def _filled(near: bool, exact: bool) -> Callable[[torch.Tensor, Held, int], torch.Tensor]:
    def choose(picks: torch.Tensor, held: Held, rank: int) -> torch.Tensor:
        return route(picks, held, RoutingRules(CLUSTER, len(held.logcnt), rank if near else None, 0), exact)

    return choose


WAYS = {
    "vLLM's hash": _hashed,
    "filled, wherever": _filled(near=False, exact=True),
    "filled, by a table": _filled(near=True, exact=False),
    "filled, in order": _filled(near=True, exact=True),
}


def _sent(
    placement: Placement,
    layer: int,
    batches: list[torch.Tensor],
    choose: Callable[[torch.Tensor, Held, int], torch.Tensor],
) -> NDArray[np.int64]:
    """Return how many picks each GPU sends to each, ``[gpus, gpus]``."""
    maps = primary_first(placement)[layer], placement.logcnt[layer]
    held = Held(*(torch.from_numpy(array.copy()) for array in maps))
    gpus = [choose(picks, held, rank).flatten() // CLUSTER.slots_per_gpu for rank, picks in enumerate(batches)]
    return np.stack([torch.bincount(some, minlength=CLUSTER.gpus).numpy() for some in gpus])


def _judged(way: str, picks: int, sent: list[NDArray[np.int64]]) -> Routed:
    all_layers = np.stack(sent)
    together, every = all_layers.sum(axis=1), all_layers.sum(axis=(1, 2))
    node = np.arange(CLUSTER.gpus) // CLUSTER.gpus_per_node
    return Routed(
        way,
        picks,
        par=float((together.max(axis=1) / together.mean(axis=1)).mean()),
        kept=float((np.trace(all_layers, axis1=1, axis2=2) / every).mean()),
        leaving=float((all_layers[:, node[:, None] != node].sum(axis=1) / every).mean()),
    )
