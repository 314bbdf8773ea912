"""Homes of experts: which node is each group's, what is served off it, and what that allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.planning.bisection import least_where
from equipoise.planning.budget import ROUNDING
from equipoise.serving.fill import fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement
    from equipoise.serving.slot_shares import Routing

ANYWHERE = -1
# What a replica at home is worth beside the share of the layer's load that is served there: it decides between equals.
LEAST_WEIGHT = 1e-9
TINY = np.finfo(np.float64).tiny


def homes(placement: Placement, groups: int, counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the home node of every expert, int64 ``[layers, experts]``; -1 for any, where there are no groups.

    Every node is home to equally many groups, so that the least load is served off its home, and of ways that serve
    equally little the fewest replicas are: an assignment problem.

    counts: float64 ``[layers, experts]``, expert loads; where they are 0, replicas alone decide.
    """
    layers, experts, cluster = placement.layers, placement.experts, placement.cluster
    if groups == 1:
        return np.full((layers, experts), ANYWHERE)
    by_node = placement.held.reshape(layers, cluster.nodes, cluster.gpus_per_node, groups, experts // groups)
    replicas = by_node.sum(axis=(2, 4)).swapaxes(1, 2)
    if _each_on_one(replicas):
        return np.repeat(replicas.argmax(axis=2), experts // groups, axis=1)
    layer, slot = np.nonzero(placement.phy2log >= 0)
    expert = placement.phy2log[layer, slot]
    node = slot // placement.cluster.slots_per_gpu // placement.cluster.gpus_per_node
    served = LEAST_WEIGHT * replicas
    share = counts / np.maximum(placement.logcnt, 1) / np.maximum(counts.sum(axis=1, keepdims=True), TINY)
    np.add.at(served, (layer, expert // (experts // groups), node), share[layer, expert])
    return np.repeat(_assigned(served), experts // groups, axis=1)


def _each_on_one(replicas: NDArray[np.int64]) -> bool:
    """Return whether every group is on one node and every node has as many; replicas: ``[layers, groups, nodes]``."""
    groups, nodes = replicas.shape[1:]
    on = replicas > 0
    return bool((on.sum(axis=2) == 1).all() and (on.sum(axis=1) * nodes == groups).all())


def _assigned(worth: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the node of each group, int64 ``[layers, groups]``, so that what they are worth there is most in all.

    worth: float64 ``[layers, groups, nodes]``.
    """
    from scipy.optimize import linear_sum_assignment

    groups, nodes = worth.shape[1:]
    seats = np.repeat(np.arange(nodes), groups // nodes)
    return np.stack([seats[linear_sum_assignment(layer[:, seats], maximize=True)[1]] for layer in worth])


def off_node_load(
    placement: Placement, counts: NDArray[np.float64], home: NDArray[np.int64], routing: Routing = "even"
) -> NDArray[np.float64]:
    """Return how much of each layer's load is served by replicas off the expert's home node, float64 ``[layers]``."""
    layer, slot = np.nonzero(placement.phy2log >= 0)
    expert = placement.phy2log[layer, slot]
    node = slot // placement.cluster.slots_per_gpu // placement.cluster.gpus_per_node
    off = (home[layer, expert] != node) & (home[layer, expert] != ANYWHERE)
    even = counts[layer, expert] / placement.logcnt[layer, expert]
    share = even if routing == "even" else fill(placement, counts[None])[0, layer, slot]
    return np.asarray(np.bincount(layer, share * off, minlength=placement.layers), np.float64)


def too_far(
    slots: NDArray[np.int64],
    counts: NDArray[np.float64],
    home: NDArray[np.int64],
    node: NDArray[np.int64],
    share: float,
) -> NDArray[np.bool_]:
    """Return which replicas must leave their slots so that no more than this share of the load is served off its node.

    They are as few as can be told one by one: those first that serve most there. All must that are off their home where
    nothing may be served there, whatever they serve.

    Parameters
    ----------
    slots : ndarray, int64 ``[layers, GPUs, slots per GPU]``
        The expert in each slot, none twice on a GPU; -1 in empty ones.
    counts : ndarray, float64 ``[layers, experts]``
        Expert loads.
    home : ndarray, int64 ``[layers, experts]``
        Home node of each expert.
    node : ndarray, int64 ``[GPUs]``
        The node of each GPU.
    share : float
        Of the load of all layers together.
    """
    layer, gpu, place = np.nonzero(slots >= 0)
    expert = slots[layer, gpu, place]
    off = home[layer, expert] != node[gpu]
    leaves, total = off & (share == 0), float(counts.sum())
    most = (share + ROUNDING) * total
    while (excess := float((served := _served(layer, expert, ~leaves, counts) * off).sum()) - most) > 0:
        by_load = np.argsort(-served, kind="stable")
        enough = int(np.searchsorted(served[by_load].cumsum(), excess)) + 1
        leaves[by_load[:enough]] |= served[by_load[:enough]] > 0
    found = np.zeros(slots.shape, np.bool_)
    found[layer, gpu, place] = leaves
    return found


def _served(
    layer: NDArray[np.int64], expert: NDArray[np.int64], stays: NDArray[np.bool_], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the load of each replica that stays, an even share of its expert's; 0 of those that leave."""
    copies = np.zeros(counts.shape, np.int64)
    np.add.at(copies, (layer[stays], expert[stays]), 1)
    return np.where(stays, counts[layer, expert] / np.maximum(copies[layer, expert], 1), 0.0)


def attainable_peaks(
    counts: NDArray[np.float64], home: NDArray[np.int64], gpus: NDArray[np.int64], off_node: float
) -> NDArray[np.float64]:
    """Return the peak to aim at in each layer, float64 ``[layers]``, where a share of all load may leave its home.

    All layers aim at one PAR, the least at which what the nodes are above it is no more than that share; a layer whose
    nodes are all below it aims at its heaviest node's.

    Parameters
    ----------
    counts : ndarray, float64 ``[layers, experts]``
        Expert loads.
    home : ndarray, int64 ``[layers, experts]``
        Home node of each expert; -1 for any.
    gpus : ndarray, int64 ``[nodes]``
        Live GPUs of each node.
    off_node : float
        Share of the load of all layers that may be served off its home node.
    """
    mean: NDArray[np.float64] = counts.sum(axis=1) / gpus.sum()
    if off_node >= 1 or (home == ANYWHERE).all():
        return mean
    node_load = np.zeros((len(counts), len(gpus)))
    np.add.at(node_load, (np.arange(len(counts))[:, None], home), counts)
    node_load = node_load[:, gpus > 0]  # what is at home where no GPU lives is served elsewhere anyway
    gpus = gpus[gpus > 0]

    def leaves(par: float) -> float:
        return float(np.maximum(node_load - par * np.outer(mean, gpus), 0).sum())

    par = least_where(lambda par: leaves(par) <= off_node * counts.sum(), 1.0, float(gpus.sum()))
    return np.asarray(np.maximum(mean, np.minimum(par * mean, np.max(node_load / gpus, axis=1))))
