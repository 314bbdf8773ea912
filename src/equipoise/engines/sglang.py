"""The live plug-in for SGLang (0.5.23): its entry point, and the function that takes the place of its algorithms."""

from __future__ import annotations

import logging
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.engines.live import EngineCall, cluster_of, live_settings, replanned, same_parameters
from equipoise.engines.warming import begin_warm_up
from equipoise.errors import InputError
from equipoise.router.primary_first import primary_first

if TYPE_CHECKING:
    from enum import Enum

    import torch
    from numpy.typing import NDArray

    from equipoise.engines.settings import Settings
    from equipoise.planning.request import PlannedRouting

REPLACED = "sglang.srt.eplb.eplb_algorithms.rebalance_experts"

log = logging.getLogger(__name__)


def register() -> None:
    """Put :func:`rebalance_experts` in the place of SGLang's own; SGLang calls this in each of its processes.

    Raises
    ------
    SystemExit
        If the settings cannot be used. SGLang would log an error and let this rank plan by its own algorithm, which
        fits no other rank's plan.
    """
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    try:
        settings = live_settings()
    except InputError as error:
        raise SystemExit(f"Equipoise cannot plan: {error}") from None
    if not same_parameters(rebalance_experts, resolve_name(REPLACED)):
        log.warning(
            "Equipoise does not fit the algorithms of this SGLang, which plans by itself; expected SGLang 0.5.23"
        )
        return
    routed(settings)
    begin_warm_up()
    HookRegistry.register(REPLACED, rebalance_experts, HookType.REPLACE)
    log.info("Equipoise plans in the place of SGLang's algorithms; settings %s: %s", settings.digest, settings)


def routed(settings: Settings) -> PlannedRouting:
    """Install what the settings say of routing, if that is not done; return what plans are to be made for."""
    if settings.routing == "even":
        return "even"
    from equipoise.engines.routing import sglang

    return "filled" if sglang.install() else "even"


def rebalance_experts(
    tokens_per_expert: torch.Tensor,
    num_physical_experts: int,
    num_local_physical_experts: int,
    num_groups: int | None,
    num_nodes: int,
    algorithm: Enum,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Plan from what is live, if anything is; SGLang's signature.

    Parameters
    ----------
    tokens_per_expert : torch.Tensor, ``[steps, layers, experts]``
        Token selections of each expert, from all ranks; layers without experts are zeros.
    num_physical_experts, num_local_physical_experts : int
        Slots of a layer in all, and of one GPU.
    num_groups : int or None
        Expert groups. They count where the algorithm is hierarchical, the nodes divide them and all ranks are up.
    num_nodes : int
        Nodes.
    algorithm : EplbAlgorithm
        What SGLang would have used: whether groups count, and whether ranks can be down, is read from its name.

    Returns
    -------
    phy2log : torch.Tensor, int64 ``[layers, slots]``
        The expert in each slot; 0 in the slots of ranks that are down, as SGLang's own algorithm has it.
    log2phy : torch.Tensor, int64 ``[layers, experts, most replicas]``
        Slots of each expert on ranks that are up, padded with -1.
    logcnt : torch.Tensor, int64 ``[layers, experts]``
        How many these are.

    Raises
    ------
    InputError
        If the slots do not hold all experts. Any other failure is logged, and what is live stays live.
    """
    import torch

    gpus = num_physical_experts // num_local_physical_experts
    grouped = algorithm.name.endswith("_hierarchical")
    dead = _dead_ranks(gpus) if algorithm.name.startswith("elasticity_aware") else []
    cluster, groups = cluster_of(num_physical_experts, gpus, num_nodes, num_groups if grouped else 1, dead)
    settings = live_settings()
    routing = routed(settings)
    call = EngineCall(tokens_per_expert.cpu().numpy(), cluster, groups, _live(), routing)
    placement = replanned(call, settings, log)
    slots = placement.log2phy if routing == "even" else primary_first(placement)
    three = np.maximum(placement.phy2log, 0), slots, placement.logcnt
    phy2log, log2phy, logcnt = (torch.from_numpy(array) for array in three)
    return phy2log, log2phy, logcnt


def _live() -> NDArray[Any] | None:
    """Return the expert in each slot now, or None while the engine starts."""
    from sglang.srt.eplb.expert_location import get_global_expert_location_metadata

    metadata = get_global_expert_location_metadata()
    return None if metadata is None else metadata.physical_to_logical_map_cpu.numpy()


def _dead_ranks(gpus: int) -> list[int]:
    """Return the ranks that are down; none before SGLang keeps count."""
    from sglang.srt.elastic_ep.elastic_ep import ElasticEPStateManager

    state = ElasticEPStateManager.instance()
    return [] if state is None else np.flatnonzero(state.active_ranks[:gpus].cpu().numpy() == 0).tolist()
