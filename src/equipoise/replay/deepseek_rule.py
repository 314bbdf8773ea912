"""DeepSeek's rule, which engines plan by today: what every other plan is compared with.

It is the algorithm of DeepSeek's EPLB (https://github.com/deepseek-ai/EPLB), written anew: groups to nodes, replicas in
each node, replicas to GPUs, each step by itself and greedily. It knows neither what is live nor whether a GPU holds an
expert twice.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.cluster import Cluster
from equipoise.placement import Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray


def deepseek_rule(counts: NDArray[np.float64], cluster: Cluster, groups: int = 1) -> Placement:
    """Return the placement that the rule makes of expert loads, float64 ``[layers, experts]``.

    groups: expert groups, each kept on a node; where they cannot be shared out evenly, or a GPU is dead, none is, as in
    the engines.
    """
    nodes = cluster.nodes if groups > 1 and groups % cluster.nodes == 0 and not cluster.dead else 1
    gpus = len(cluster.live)
    alive = Cluster(gpus=gpus, nodes=nodes, slots_per_gpu=cluster.slots_per_gpu)
    slots = [_plan_layer(load, alive, groups if nodes > 1 else 1) for load in counts]
    return Placement.on_live(np.array(slots).reshape(len(counts), gpus, -1), cluster, counts.shape[1])


def _plan_layer(load: NDArray[np.float64], cluster: Cluster, groups: int) -> list[int]:
    """Return the expert in each slot of a layer, on GPUs that all live."""
    nodes = cluster.nodes
    by_group = np.arange(len(load)).reshape(groups, -1)
    slots: list[int] = []
    for group in _pack(load[by_group].sum(axis=1), nodes):
        experts = np.sort(by_group[group].ravel())
        replicas, share = _replicate(load[experts], cluster.slots // nodes)
        for held in _pack(share, cluster.gpus // nodes):
            slots += experts[replicas[held]].tolist()
    return slots


def _replicate(load: NDArray[np.float64], slots: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give each slot in turn to the expert whose replicas are heaviest; return the expert of each, and its share."""
    replicas, copies = list(range(len(load))), np.ones(len(load), np.int64)
    heaviest = [(-share, expert) for expert, share in enumerate(load.tolist())]
    heapify(heaviest)
    for _ in range(slots - len(load)):
        expert = heaviest[0][1]
        replicas.append(expert)
        copies[expert] += 1
        heapreplace(heaviest, (-float(load[expert] / copies[expert]), expert))
    return np.array(replicas), (load / copies)[replicas]


def _pack(load: NDArray[np.float64], packs: int) -> list[list[int]]:
    """Put the items, heaviest first, each into the lightest pack that has room; all packs get as many."""
    contents: list[list[int]] = [[] for _ in range(packs)]
    total = [0.0] * packs
    for item in np.argsort(-load, kind="stable").tolist():
        free = [pack for pack in range(packs) if len(contents[pack]) < len(load) // packs]
        lightest = min(free, key=total.__getitem__)
        contents[lightest].append(item)
        total[lightest] += float(load[item])
    return contents
