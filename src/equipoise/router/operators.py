"""What torch calls: operators of its own, so that compiled models and CUDA graphs take them as they are."""

from __future__ import annotations

from functools import cache
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


def route(picks: Tensor, held: Held, rules: RoutingRules, exact: bool = False) -> Tensor:
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
    """
    cluster = [rules.cluster.gpus, rules.cluster.nodes, rules.cluster.slots_per_gpu, *rules.cluster.dead]
    slots: Tensor = _route(picks, *held, cluster, -1 if rules.rank is None else rules.rank, rules.floor, exact)
    return slots


def fill_table(picks: Tensor, held: Held, rules: RoutingRules, unpadded: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the table that this batch's picks are looked up in; see :func:`equipoise.router.reference.fill_table`."""
    table, entries = _steps(picks.device.type).fill_table(picks.flatten().contiguous(), held, rules, unpadded)
    return table, entries


def _routed(
    picks: Tensor, log2phy: Tensor, logcnt: Tensor, cluster: Sequence[int], rank: int, floor: int, exact: bool
) -> Tensor:
    gpus, nodes, slots_per_gpu, *dead = cluster
    held, flat = Held(log2phy, logcnt), picks.flatten().contiguous()
    if not len(flat):
        return torch.empty_like(picks)
    rules = RoutingRules(Cluster(gpus, nodes, slots_per_gpu, dead), len(logcnt), None if rank < 0 else rank, floor)
    steps = _steps(picks.device.type)
    if exact:
        slots = in_order(flat, steps.fill_quotas(flat, held, rules), log2phy)
    else:
        slots = steps.look_up(flat, picks.shape[-1], *steps.fill_table(flat, held, rules, None))
    return slots.view(picks.shape)


@cache
def _steps(device: str) -> Any:
    """Return the module that counts, fills and looks up on a type of device: the kernels, or the reference in torch."""
    kernels = device == "cuda" and find_spec("triton")
    return import_module("equipoise.router." + ("kernels.launching" if kernels else "reference"))


_schema = "(Tensor picks, Tensor log2phy, Tensor logcnt, int[] cluster, int rank, int floor, bool exact) -> Tensor"
_route = torch.library.custom_op(ROUTE, _routed, mutates_args=(), schema=_schema)
_route.register_fake(lambda picks, *others: torch.empty_like(picks))
