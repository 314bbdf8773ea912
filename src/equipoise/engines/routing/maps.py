"""What engines' maps say, as a router reads it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from equipoise.cluster import Cluster
from equipoise.placement import Placement
from equipoise.router.primary_first import primary_first
from equipoise.router.rules import RoutingRules

if TYPE_CHECKING:
    from torch import Tensor


def slots_primary_first(phy2log: Tensor, slots_per_gpu: int, experts: int) -> Tensor:
    """Return the slots of each expert, ``[layers, experts, most replicas]``, its primary first, padded with -1.

    Parameters
    ----------
    phy2log : Tensor ``[layers, slots]``
        The expert in each slot, -1 in an empty one.
    slots_per_gpu : int
        Slots of each GPU.
    experts : int
        Logical experts.
    """
    cluster = Cluster(gpus=phy2log.shape[-1] // slots_per_gpu, slots_per_gpu=slots_per_gpu)
    placement = Placement(phy2log.cpu().numpy(), cluster, experts)
    return torch.from_numpy(primary_first(placement)).to(phy2log)


@lru_cache
def rules_of(cluster: Cluster, experts: int, rank: int | None, floor: int) -> RoutingRules:
    """Return the rules of a GPU, the same object each time."""
    return RoutingRules(cluster, experts, rank, floor)


def in_nodes(gpus: int, gpus_per_node: int, slots_per_gpu: int) -> Cluster:
    """Return the cluster of these GPUs: in nodes of so many where that divides them, else in one."""
    nodes = gpus // gpus_per_node if gpus_per_node and gpus % gpus_per_node == 0 else 1
    return Cluster(gpus=gpus, nodes=nodes, slots_per_gpu=slots_per_gpu)
