"""SGLang (0.5.23): its choice of the replica for each pick, filled, in the place of ``static`` and ``dynamic``."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from functools import cache
from inspect import signature
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import torch

from equipoise.engines.live import live_settings, same_parameters
from equipoise.engines.routing.maps import in_nodes, rules_of, slots_primary_first
from equipoise.router.held import Held
from equipoise.router.operators import route

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

DISPATCH = "sglang.srt.eplb.expert_location_dispatch.topk_ids_logical_to_physical"
MAPS = "sglang.srt.eplb.expert_location._compute_logical_to_all_physical_map"
POST_PROCESS = "sglang.srt.layers.moe.topk._post_process_topk_ids"
PADDING = "num_token_non_padded"
RULES = ("static", "dynamic")  # of SGLang's, which filled routing takes the place of; "fake" and "lp" stay

log = logging.getLogger(__name__)

# How many tokens of the batch come before those of padding, which SGLang masks only after they have been routed.
unpadded: ContextVar[Tensor | None] = ContextVar("unpadded", default=None)


@cache
def install() -> bool:
    """Fill from now on, by hooks; return whether it is one that we know, and else leave it as it is."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    try:
        theirs = resolve_name(DISPATCH)
        ours = filled(theirs)
        knows = (
            same_parameters(ours, theirs)
            and same_parameters(all_slots_primary_first, resolve_name(MAPS))
            and PADDING in signature(resolve_name(POST_PROCESS)).parameters
        )
    except (ImportError, AttributeError):
        knows = False
    if not knows:
        log.warning("Equipoise does not know the routing of this SGLang, which goes by its own rule; expected 0.5.23")
        return False
    HookRegistry.register(DISPATCH, ours, HookType.REPLACE)
    HookRegistry.register(MAPS, all_slots_primary_first, HookType.REPLACE)
    HookRegistry.register(POST_PROCESS, telling_the_padding, HookType.AROUND)
    return True


def filled(theirs: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return SGLang's dispatch, with filling in the place of the rules that fix a replica or take turns."""

    def topk_ids_logical_to_physical(topk_ids: Tensor, info: Any, log2phy_prob: Tensor | None = None) -> Tensor:
        if info is None or info.ep_dispatch_algorithm not in RULES:
            return theirs(topk_ids, info, log2phy_prob)
        slots: Tensor = dispatch(
            topk_ids,
            info.partial_logical_to_all_physical_map,
            info.partial_logical_to_all_physical_map_num_valid,
            info.num_physical_experts,
            info.rank_invariant,
        )
        return slots

    return topk_ids_logical_to_physical


def _dispatched(picks: Tensor, log2phy: Tensor, logcnt: Tensor, slots: int, alike: bool) -> Tensor:
    """Return the slot of each pick; what SGLang's process knows is read here, out of sight of its compiler."""
    from sglang.srt.runtime_context import get_parallel

    gpus, nodes = get_parallel().ep_size, get_parallel().nnodes
    rank = None if alike else torch.distributed.get_rank() % gpus
    rules = rules_of(in_nodes(gpus, gpus // nodes, slots // gpus), len(logcnt), rank, live_settings().floor)
    return route(picks, Held(log2phy, logcnt), rules, unpadded=unpadded.get())


dispatch = torch.library.custom_op(
    "equipoise::sglang_dispatch",
    _dispatched,
    mutates_args=(),
    schema="(Tensor picks, Tensor log2phy, Tensor logcnt, int slots, bool alike) -> Tensor",
)
dispatch.register_fake(lambda picks, *others: torch.empty_like(picks))


def all_slots_primary_first(
    physical_to_logical_map: Tensor, num_logical_experts: int, ep_size: int, moe_ep_rank: int
) -> Tensor:
    """Return the slots of each expert, its primary first; SGLang's signature.

    SGLang's own keeps the nearest slot alone where a rank has one on its GPU or node.
    """
    slots_per_gpu = physical_to_logical_map.shape[1] // ep_size
    return slots_primary_first(physical_to_logical_map, slots_per_gpu, num_logical_experts)


def telling_the_padding(theirs: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call what SGLang does with picks, which knows meanwhile how many tokens are none of the padding."""
    given = signature(theirs).bind(*args, **kwargs).arguments.get(PADDING)
    token = unpadded.set(given)
    try:
        return theirs(*args, **kwargs)
    finally:
        unpadded.reset(token)
