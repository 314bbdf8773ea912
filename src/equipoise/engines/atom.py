"""A drop-in for ROCm ATOM's ``rebalance_experts`` (``atom.model_ops.eplb``)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from equipoise.engines.live import EngineCall, cluster_of, live_settings, replanned

if TYPE_CHECKING:
    import torch

log = logging.getLogger("atom.equipoise")


def rebalance_experts(
    weight: torch.Tensor,
    *,
    num_physical: int,
    num_groups: int,
    num_nodes: int,
    num_gpus: int,
    enable_hierarchical: bool,
    policy: object = None,
    old_p2l: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Re-plan from the live placement; ATOM's arguments and results, which are on the device of ``weight``.

    Parameters
    ----------
    weight : torch.Tensor, ``[layers, experts]``
        Load of each expert.
    num_physical : int
        Slots of a layer in all.
    num_groups, num_nodes, num_gpus : int
        Expert groups, nodes and GPUs.
    enable_hierarchical : bool
        Whether groups count.
    policy : object
        What ATOM would have placed a layer by; passed over.
    old_p2l : torch.Tensor, ``[layers, slots]``, optional
        The expert in each slot now.

    Returns
    -------
    p2l : torch.Tensor, int32 ``[layers, num_physical]``
        The expert in each slot.
    l2p : torch.Tensor, int32 ``[layers, experts, most replicas]``
        Slots of each expert, padded with -1.
    logcnt : torch.Tensor, int32 ``[layers, experts]``
        Replicas of each expert.

    Raises
    ------
    InputError
        If the slots do not hold all experts. Any other failure is logged, and what is live stays live.
    """
    import torch

    loads = weight.detach().double().cpu().numpy()[None]
    live = None if old_p2l is None else old_p2l.cpu().numpy()
    cluster, groups = cluster_of(num_physical, num_gpus, num_nodes, num_groups if enable_hierarchical else 1, dead=[])
    placement = replanned(EngineCall(loads, cluster, groups, live), live_settings(), log)
    three = placement.phy2log, placement.log2phy, placement.logcnt
    p2l, l2p, logcnt = (torch.tensor(array, dtype=torch.int32, device=weight.device) for array in three)
    return p2l, l2p, logcnt
