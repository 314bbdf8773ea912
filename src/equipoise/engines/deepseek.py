"""A drop-in for DeepSeek EPLB's ``rebalance_experts`` (github.com/deepseek-ai/EPLB)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.cluster import Cluster, tied_groups
from equipoise.errors import InputError, check_count
from equipoise.planner import plan
from equipoise.planning.scenarios import Scenarios

if TYPE_CHECKING:
    from equipoise.placement import Placement


def rebalance_experts(
    weight: Any, num_replicas: int, num_groups: int, num_nodes: int, num_gpus: int
) -> tuple[Any, Any, Any]:
    """Plan a placement: DeepSeek EPLB's arguments, results and choice of policy, Equipoise's plan.

    Groups stay each on a node where they tie anything together: where the nodes divide them, and they the experts, more
    than one each, on nodes of several GPUs. Otherwise any expert may live on any GPU.

    All results are torch tensors on the device of ``weight`` where that is a tensor, and NumPy arrays otherwise.

    Parameters
    ----------
    weight : ndarray or torch.Tensor, ``[layers, experts]``
        Load of each expert.
    num_replicas : int
        Slots in all, per layer; a multiple of ``num_gpus``.
    num_groups, num_nodes, num_gpus : int
        Expert groups, nodes and GPUs.

    Returns
    -------
    phy2log : int64 ``[layers, num_replicas]``
        Expert in each slot.
    log2phy : int64 ``[layers, experts, most replicas]``
        Slots of each expert, padded with -1.
    logcnt : int64 ``[layers, experts]``
        Replicas of each expert.

    Raises
    ------
    InputError
        If the weights are not valid loads, or a division is impossible.

    Examples
    --------
    >>> phy2log, log2phy, logcnt = rebalance_experts(np.array([[60, 20, 20, 20]]), 6, 1, 1, 2)
    >>> logcnt.tolist()
    [[2, 2, 1, 1]]
    """
    if isinstance(weight, np.ndarray):
        return _three(_plan(weight, num_replicas, num_groups, num_nodes, num_gpus))
    import torch

    if not isinstance(weight, torch.Tensor):
        raise InputError(f"weight is {type(weight).__name__}; expected a NumPy array or a torch tensor")
    if weight.layout != torch.strided:
        raise InputError(f"weight is a {weight.layout} tensor; expected a dense one")
    placement = _plan(weight.detach().double().cpu().numpy(), num_replicas, num_groups, num_nodes, num_gpus)
    first, second, third = (torch.from_numpy(array).to(weight.device) for array in _three(placement))
    return first, second, third


def _plan(weight: Any, num_replicas: int, num_groups: int, num_nodes: int, num_gpus: int) -> Placement:
    if weight.ndim != 2:
        raise InputError(f"weight has shape {list(weight.shape)}; expected [layers, experts]")
    check_count("num_groups", num_groups)
    check_count("num_nodes", num_nodes)
    groups = tied_groups(num_groups, weight.shape[1], num_gpus, num_nodes)
    num_nodes = num_nodes if groups > 1 else 1
    cluster = Cluster.for_slots(num_replicas, experts=weight.shape[1], gpus=num_gpus, nodes=num_nodes)
    return plan(weight if weight.any() else Scenarios(weight), cluster, groups=groups).placement


def _three(placement: Placement) -> tuple[Any, Any, Any]:
    return placement.phy2log.copy(), placement.log2phy, placement.logcnt
