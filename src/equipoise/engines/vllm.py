"""The live plug-in for vLLM (0.33): its entry point, and the policy that takes the place of vLLM's own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from equipoise.engines.live import Request, cluster_of, live_settings, replanned

if TYPE_CHECKING:
    import torch

# Below vLLM's own logger, so that the lines go where its lines go.
log = logging.getLogger("vllm.equipoise")


def register() -> None:
    """Put :class:`EquipoisePolicy` in the place of vLLM's default policy; vLLM calls this in each of its processes.

    Raises
    ------
    InputError
        If the settings cannot be used: the engine does not start, since all ranks must plan alike.
    """
    from vllm.distributed.eplb.policy import EPLB_POLICIES, AbstractEplbPolicy

    settings = live_settings()
    log.info("Equipoise plans in the place of vLLM's default policy; settings %s: %s", settings.digest, settings)
    AbstractEplbPolicy.register(EquipoisePolicy)
    EPLB_POLICIES["default"] = EquipoisePolicy


class EquipoisePolicy:
    """What vLLM calls for a new placement: in the main thread, or in a thread of its own where EPLB is asynchronous."""

    @classmethod
    def rebalance_experts(
        cls,
        weight: torch.Tensor,
        num_replicas: int,
        num_groups: int | None,
        num_nodes: int,
        num_ranks: int,
        old_global_expert_indices: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Re-plan from the live placement; vLLM's signature.

        Parameters
        ----------
        weight : torch.Tensor, ``[layers, experts]``
            Token selections of each expert in vLLM's window, from all ranks; zeros in its profile run.
        num_replicas : int
            Slots of a layer in all.
        num_groups : int or None
            Expert groups; None and 0 mean none. They count where the nodes divide them.
        num_nodes, num_ranks : int
            Nodes and GPUs.
        old_global_expert_indices : torch.Tensor, ``[layers, live slots]``, optional
            The expert in each slot now, -1 in slots of new GPUs; wider than ``num_replicas`` where GPUs will leave.

        Returns
        -------
        torch.Tensor
            The expert in each slot, int64 ``[layers, num_replicas]``, on the CPU.

        Raises
        ------
        InputError
            If the slots do not hold all experts. Any other failure is logged, and what is live stays live.
        """
        import torch

        loads = weight.detach().double().cpu().numpy()[None]
        live = None if old_global_expert_indices is None else old_global_expert_indices.cpu().numpy()
        cluster, groups = cluster_of(num_replicas, num_ranks, num_nodes, num_groups, dead=[])
        return torch.from_numpy(replanned(Request(loads, cluster, groups, live), live_settings(), log).phy2log)
