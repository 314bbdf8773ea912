"""The router's kernels on a GPU: that they do what the reference does, and how long they take in a CUDA graph."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from equipoise import Cluster, plan, sample_loads
from equipoise.router import reference
from equipoise.router.held import Held
from equipoise.router.primary_first import primary_first
from equipoise.router.rules import FEW, TABLE, RoutingRules

if TYPE_CHECKING:
    from collections.abc import Callable

CLUSTERS = (Cluster(gpus=32, nodes=4, slots_per_gpu=9), Cluster(gpus=64, nodes=8, slots_per_gpu=5))
TOKENS = (1, 16, 64, 256, 1024, 8192)
TOP_K = 8
# Microseconds beyond the look-up, at most: by slots, for few picks; and for 65,536.
TARGETS = {(288, True): 4.5, (320, True): 9.0, (288, False): 12.0, (320, False): 12.0}
CALLS, REPLAYS = 50, 20


@dataclass(frozen=True)
class Timed:
    """What the kernels take for a batch, and whether all they write is what the reference writes.

    Attributes
    ----------
    slots, gpus, picks : int
        Of the placement, and of the batch.
    look_up, fill : float
        Microseconds of the look-up, and of all that comes before it.
    same : bool
        Whether table, slots and quotas are the reference's, bit for bit, for a rank of its own and for all alike.
    target : float
        Microseconds of the fill, at most.
    """

    slots: int
    gpus: int
    picks: int
    look_up: float
    fill: float
    same: bool
    target: float


def time_kernels() -> list[Timed]:
    """Return what the kernels take on this machine's GPU; none where there is no GPU."""
    if not torch.cuda.is_available():
        return []
    return [_timed(cluster, tokens) for cluster in CLUSTERS for tokens in TOKENS]


def _timed(cluster: Cluster, tokens: int) -> Timed:
    from equipoise.router.kernels import launching

    counts = sample_loads().counts
    placement = plan(counts[:4], cluster, routing="filled", effort="fast").placement
    maps = primary_first(placement)[0], placement.logcnt[0]
    held = Held(*(torch.from_numpy(array.copy()).cuda() for array in maps))
    share = counts[-1, 0] / counts[-1, 0].sum()
    picks = torch.from_numpy(np.random.default_rng(tokens).choice(256, (tokens, TOP_K), p=share)).cuda()
    rules = RoutingRules(cluster, 256, 0, 0)
    table, entries = launching.fill_table(picks, held, rules, None)
    look_up = _microseconds(lambda: launching.look_up(picks, table, entries))
    fill = _microseconds(lambda: launching.fill_table(picks, held, rules, None))
    same = all(_same(picks, held, RoutingRules(cluster, 256, rank, floor)) for rank in (0, None) for floor in (0, 256))
    return Timed(
        cluster.slots, cluster.gpus, picks.numel(), look_up, fill, same, TARGETS[cluster.slots, picks.numel() <= FEW]
    )


def _same(picks: torch.Tensor, held: Held, rules: RoutingRules) -> bool:
    """Return whether kernels and reference agree on a batch, with -1 in it too."""
    from equipoise.router.kernels import launching

    picks = torch.where(torch.arange(len(picks), device=picks.device)[:, None] % 7 == 3, -1, picks).int()
    (found, entries), (expected, counts) = (
        steps.fill_table(picks, held, rules, None) for steps in (launching, reference)
    )
    several = counts == TABLE
    pairs = [
        (entries, counts),
        (found[several], expected[several]),
        (found[:, 0], expected[:, 0]),
        (launching.look_up(picks, found, entries), reference.look_up(picks, expected, counts)),
        (launching.fill_quotas(picks, held, rules), reference.fill_quotas(picks, held, rules)),
    ]
    return all(torch.equal(*pair) for pair in pairs)


def _microseconds(launch: Callable[[], object]) -> float:
    """Return what a launch takes, many of them in one graph."""
    launch()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            launch()
    times = []
    for _ in range(REPLAYS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(1000 * begin.elapsed_time(end) / CALLS)
    return median(times)
