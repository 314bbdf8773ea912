"""vLLM (0.33): its choice of the replica for each pick, filled; its recording and its kernel are left as they are.

vLLM looks picks up in a map of each layer, by a hash of the token's number. It is given another map, which is written
for each batch: a replica stands in it as often as its share of the picks.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from functools import cache, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch

from equipoise.engines.live import same_parameters
from equipoise.engines.routing.maps import in_nodes, rules_of, slots_primary_first
from equipoise.errors import InputError
from equipoise.router.held import Held
from equipoise.router.operators import fill_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from equipoise.router.rules import RoutingRules

# Imports the function that maps by name. If vLLM has imported it before us, it has that of vLLM.
MEGA = "vllm.model_executor.layers.fused_moe.deep_gemm_mega_moe"
# The parameters of what is wrapped.
MAPS = ["physical_to_logical_map", "num_logical_experts"]
COMMIT = ["model_state", "new_physical_to_logical_map"]

log = logging.getLogger("vllm.equipoise")

# Of models by their logical experts: what a GPU holds stays the same, even where GPUs come and go.
slots_per_gpu: dict[int, int] = {}
# Whether the GPUs bring tokens of their own in this layer. Where all route the same, all must choose alike.
own_tokens: ContextVar[bool] = ContextVar("own_tokens", default=False)


@cache
def install(floor: int) -> bool:
    """Route by filling from now on; return whether this vLLM is one that we know, and else leave it as it is.

    Parameters
    ----------
    floor : int
        Picks, of all GPUs together, up to which an expert is not split.
    """
    try:
        from vllm.distributed.eplb import eplb_state
        from vllm.model_executor.layers.fused_moe.router import base_router
        from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner

        mapping = filled(base_router.eplb_map_to_physical_and_record, floor)
        knows = (
            same_parameters(mapping, base_router.eplb_map_to_physical_and_record)
            and list(signature(eplb_state.compute_logical_maps).parameters) == MAPS
            and list(signature(eplb_state._commit_eplb_maps).parameters) == COMMIT
            and {"_apply_quant_method", "do_naive_dispatch_combine"} <= set(vars(MoERunner))
        )
        add_model = eplb_state.EplbState.add_model
    except (ImportError, AttributeError):
        knows = False
    if not knows:
        log.warning("Equipoise does not know the routing of this vLLM, which goes by its own rule; expected vLLM 0.33")
        return False
    for name in {base_router.__name__, MEGA} & set(sys.modules):
        setattr(sys.modules[name], mapping.__name__, mapping)
    eplb_state.compute_logical_maps = primaries_first(eplb_state.compute_logical_maps)
    eplb_state.EplbState.add_model = with_primaries_first(add_model, eplb_state)
    MoERunner._apply_quant_method = telling_whose_tokens(MoERunner._apply_quant_method)
    return True


def filled(theirs: Callable[..., Tensor], floor: int) -> Callable[..., Tensor]:
    """Return vLLM's mapping and recording, with a map that is written for each batch."""

    def eplb_map_to_physical_and_record(
        topk_ids: Tensor,
        expert_load_view: Tensor,
        logical_to_physical_map: Tensor,
        logical_replica_count: Tensor,
        record_enabled: Tensor,
        num_unpadded_tokens: Tensor | None = None,
    ) -> Tensor:
        rules = _rules(len(logical_replica_count), floor)
        if rules is not None and topk_ids.numel():
            held = Held(logical_to_physical_map, logical_replica_count)
            logical_to_physical_map, logical_replica_count = fill_table(topk_ids, held, rules, num_unpadded_tokens)
        return theirs(
            topk_ids=topk_ids,
            expert_load_view=expert_load_view,
            logical_to_physical_map=logical_to_physical_map,
            logical_replica_count=logical_replica_count,
            record_enabled=record_enabled,
            num_unpadded_tokens=num_unpadded_tokens,
        )

    return eplb_map_to_physical_and_record


def _rules(experts: int, floor: int) -> RoutingRules | None:
    """Return the rules of this process for a layer of so many experts; None where vLLM has not said what GPUs hold."""
    from vllm.distributed import get_ep_group

    if experts not in slots_per_gpu:
        return None
    group = get_ep_group()
    cluster = in_nodes(group.world_size, torch.cuda.device_count(), slots_per_gpu[experts])
    return rules_of(cluster, experts, group.rank_in_group if own_tokens.get() else None, floor)


def primaries_first(theirs: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return vLLM's way from a placement to its maps, with the primary of each expert as its first slot."""

    @wraps(theirs)
    def compute_logical_maps(physical_to_logical_map: Tensor, num_logical_experts: int) -> tuple[Tensor, Tensor]:
        from vllm.distributed import get_ep_group

        slots, counts = theirs(physical_to_logical_map, num_logical_experts)
        each = physical_to_logical_map.shape[-1] // get_ep_group().world_size
        own = slots_per_gpu.setdefault(num_logical_experts, each)
        try:
            layers = physical_to_logical_map.reshape(-1, physical_to_logical_map.shape[-1])
            ordered = slots_primary_first(layers, own, num_logical_experts)
        except InputError:
            log.exception("Equipoise cannot read the placement; experts that are not split go to their first slot")
            return slots, counts
        return ordered.view(slots.shape), counts

    return compute_logical_maps


def with_primaries_first(theirs: Callable[..., None], eplb_state: Any) -> Callable[..., None]:
    """Return vLLM's entry of a model, whose first maps, which it writes by itself, are written anew."""

    @wraps(theirs)
    def add_model(self: Any, *args: Any, **kwargs: Any) -> None:
        theirs(self, *args, **kwargs)
        for state in self.model_states.values():
            eplb_state._commit_eplb_maps(state, state.physical_to_logical_map.cpu())

    return add_model


def telling_whose_tokens(theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Return a layer's routing and experts, which know meanwhile whether the GPUs bring tokens of their own.

    They do where data or a sequence is spread over all of them, and an all-to-all that takes what was routed.
    """

    @wraps(theirs)
    def _apply_quant_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = self.moe_config
        spread = config.is_sequence_parallel or config.dp_size == config.ep_size > 1
        token = own_tokens.set(spread and not self.do_naive_dispatch_combine)
        try:
            return theirs(self, *args, **kwargs)
        finally:
            own_tokens.reset(token)

    return _apply_quant_method
