"""SGLang's function that moves one layer's weights (0.5.23), for its users to exchange for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.cluster import Cluster
from equipoise.placement import Placement
from equipoise.runtime.exchange import exchange_experts

if TYPE_CHECKING:
    from torch import Tensor


def update_expert_weights_single_layer(
    routed_experts_weights: list[Tensor],
    temp_buffers: list[Tensor],
    old_physical_to_logical_map: list[int],
    new_physical_to_logical_map: list[int],
    num_local_physical_experts: int,
    num_gpu_per_node: int,
    rank: int,
    world_size: int | None = None,
    missing_logical_experts_info: list[int] | None = None,
    debug: bool = False,
    log_metrics: bool = False,
) -> None:
    """Move a layer's weights from one map to another, in place, on all ranks of the default group.

    Parameters
    ----------
    routed_experts_weights : list of Tensor
        Tensors of this rank, each with its slots as the first axis; overwritten.
    temp_buffers : list of Tensor
        Passed over: buffers are as large as what arrives.
    old_physical_to_logical_map, new_physical_to_logical_map : list of int
        The expert in each slot of all ranks, now and after.
    num_local_physical_experts, num_gpu_per_node : int
        Slots of a rank, and ranks of a node.
    rank, world_size, missing_logical_experts_info, debug, log_metrics
        Passed over: the group knows its ranks, and a rank that is gone is an error.

    Raises
    ------
    InputError
        On all ranks alike, before anything moves, if they would do different things or an expert would be lost.
    ExchangeError
        If a rank is gone.
    """
    gpus = len(new_physical_to_logical_map) // num_local_physical_experts
    cluster = Cluster(gpus, max(gpus // num_gpu_per_node, 1), num_local_physical_experts)
    experts = int(np.max(new_physical_to_logical_map)) + 1
    maps = old_physical_to_logical_map, new_physical_to_logical_map
    before, after = (Placement([one], cluster, experts) for one in maps)
    exchange_experts([routed_experts_weights], (before, after))
