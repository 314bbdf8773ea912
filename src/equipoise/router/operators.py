"""What torch calls: operators of its own, so that compiled models and CUDA graphs take them as they are."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from equipoise.cluster import Cluster
from equipoise.router.held import Held
from equipoise.router.in_order import in_order
from equipoise.router.rules import RoutingRules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

ROUTE = "equipoise::route"


def route(
    picks: Tensor, held: Held, rules: RoutingRules, exact: bool = False, unpadded: Tensor | None = None
) -> Tensor:
    """Return the slot of each pick, in the shape and type of the picks.

    Parameters
    ----------
    picks : Tensor, int32 or int64 ``[tokens, top_k]``
        Experts that each token picks; what is none passes through.
    held : Held
        Their slots, on the same device.
    rules : RoutingRules
        Of the cluster, and what is not split.
    exact : bool
        Whether each replica gets its quota to the pick, in the order of the tokens; else a token's number in the batch
        chooses in a table, which is quicker.
    unpadded : Tensor, one int, or None
        How many tokens come before those of padding, which the table does not count.
    """
    cluster = [rules.cluster.gpus, rules.cluster.nodes, rules.cluster.slots_per_gpu, *rules.cluster.dead]
    rank = -1 if rules.rank is None else rules.rank
    slots: Tensor = _route(picks, *held, unpadded, cluster, rank, rules.floor, exact)
    return slots


def fill_table(picks: Tensor, held: Held, rules: RoutingRules, unpadded: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the table that this batch's picks are looked up in; see :func:`equipoise.router.reference.fill_table`."""
    table, entries = _steps(picks.device.type).fill_table(picks.contiguous(), held, rules, unpadded)
    return table, entries


def _routed(
    picks: Tensor,
    log2phy: Tensor,
    logcnt: Tensor,
    unpadded: Tensor | None,
    cluster: Sequence[int],
    rank: int,
    floor: int,
    exact: bool,
) -> Tensor:
    if not picks.numel():
        return torch.empty_like(picks)
    rules = _rules(tuple(cluster), len(logcnt), rank, floor)
    held, steps, picks = Held(log2phy, logcnt), _steps(picks.device.type), picks.contiguous()
    if exact:
        return in_order(picks, steps.fill_quotas(picks, held, rules), log2phy)
    slots: Tensor = steps.look_up(picks, *steps.fill_table(picks, held, rules, unpadded))
    return slots


@lru_cache
def _rules(cluster: tuple[int, ...], experts: int, rank: int, floor: int) -> RoutingRules:
    """Return the rules that :func:`route` took apart, the same object each time: layers ask at every step."""
    gpus, nodes, slots_per_gpu, *dead = cluster
    return RoutingRules(Cluster(gpus, nodes, slots_per_gpu, dead), experts, None if rank < 0 else rank, floor)


@cache
def _steps(device: str) -> Any:
    """Return the module that counts, fills and looks up on a type of device: the kernels, or the reference in torch."""
    kernels = device == "cuda" and find_spec("triton")
    return import_module("equipoise.router." + ("kernels.launching" if kernels else "reference"))


_SCHEMA = (
    "(Tensor picks, Tensor log2phy, Tensor logcnt, Tensor? unpadded, int[] cluster, int rank, int floor, bool exact)"
    " -> Tensor"
)
_route = torch.library.custom_op(ROUTE, _routed, mutates_args=(), schema=_SCHEMA)
_route.register_fake(lambda picks, *others: torch.empty_like(picks))
