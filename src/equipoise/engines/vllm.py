"""The live plug-in for vLLM (0.33): its entry point, and the policy that takes the place of vLLM's own."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any

from equipoise.engines.live import EngineCall, cluster_of, live_settings, replanned, same_parameters
from equipoise.engines.warming import begin_warm_up

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from equipoise.engines.settings import Settings
    from equipoise.planning.request import PlannedRouting

# Below vLLM's own logger, so that the lines go where its lines go.
log = logging.getLogger("vllm.equipoise")


def register() -> None:
    """Put :class:`EquipoisePolicy` in the place of vLLM's default policy; vLLM calls this in each of its processes.

    Raises
    ------
    InputError
        If the settings cannot be used: the engine does not start, since all ranks must plan alike.
    """
    settings = live_settings()
    try:
        from vllm.distributed.eplb.policy import EPLB_POLICIES, AbstractEplbPolicy
    except ImportError:
        log.warning("Equipoise finds no EPLB policies in this vLLM, which plans by itself; expected vLLM 0.33")
        return
    if not _fits(AbstractEplbPolicy.rebalance_experts):
        log.warning("Equipoise does not fit the EPLB policies of this vLLM, which plans by itself; expected vLLM 0.33")
        return
    log.info("Equipoise plans in the place of vLLM's default policy; settings %s: %s", settings.digest, settings)
    routed(settings)
    AbstractEplbPolicy.register(EquipoisePolicy)
    EPLB_POLICIES["default"] = EquipoisePolicy
    begin_warm_up()


def _fits(theirs: Callable[..., Any]) -> bool:
    """Return whether this vLLM calls a policy as ours is called; earlier ones want three results."""
    import torch

    one_result = signature(theirs).return_annotation in (torch.Tensor, "torch.Tensor")
    return one_result and same_parameters(EquipoisePolicy.rebalance_experts, theirs)


def routed(settings: Settings) -> PlannedRouting:
    """Install what the settings say of routing, if that is not done; return what plans are to be made for."""
    if settings.routing == "even":
        return "even"
    from equipoise.engines.routing import vllm, vllm_ascend

    fills = vllm.install(settings.floor)
    if find_spec("vllm_ascend"):  # there a table takes the place of a fill
        vllm_ascend.install(settings.floor)
        return "even"
    return "filled" if fills else "even"


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
        settings = live_settings()
        call = EngineCall(loads, cluster, groups, live, routed(settings))
        return torch.tensor(replanned(call, settings, log).phy2log)
