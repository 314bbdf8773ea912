"""Launching the kernels: the same functions as ``reference.py`` has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton

from equipoise.router.kernels.counting import count_kernel
from equipoise.router.kernels.filling import fill_kernel
from equipoise.router.kernels.looking_up import look_up_kernel
from equipoise.router.rules import FEW, ROUNDS, TABLE, power_of_two, units_of

if TYPE_CHECKING:
    from torch import Tensor

    from equipoise.router.held import Held
    from equipoise.router.rules import RoutingRules

COUNT_BLOCK = 1024  # picks that a program counts at once
MOST_PROGRAMS = 64  # that count; the fill adds up what they found
WARPS = 2  # of the fill: more wait for each other longer than they help
LOOK_UP_BLOCK = 256


def fill_table(picks: Tensor, held: Held, rules: RoutingRules, unpadded: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the slots of each expert, each as often as its share of the picks, and how many of them count."""
    table = held.log2phy.new_empty((rules.experts, TABLE))
    entries = held.log2phy.new_empty((rules.experts,))
    _fill(picks, held, rules, unpadded, table, entries)
    return table, entries


def fill_quotas(picks: Tensor, held: Held, rules: RoutingRules) -> Tensor:
    """Return where in an expert's picks each replica's part ends, int32 ``[experts, replicas]``."""
    ends = held.log2phy.new_empty((rules.experts, rules.replicas), dtype=torch.int32)
    _fill(picks, held, rules, None, ends, None)
    return ends


def look_up(picks: Tensor, table: Tensor, entries: Tensor) -> Tensor:
    """Return the slot in the table of each pick, by the number of its token; what is no expert passes through."""
    slots, size, top_k = torch.empty_like(picks), picks.numel(), picks.shape[1]
    grid = (triton.cdiv(size, LOOK_UP_BLOCK),)
    look_up_kernel[grid](picks, table, entries, slots, size, top_k, len(entries), BLOCK=LOOK_UP_BLOCK)
    return slots


def _fill(
    picks: Tensor, held: Held, rules: RoutingRules, unpadded: Tensor | None, out: Tensor, entries: Tensor | None
) -> None:
    """Fill, and write the table and its entries, or without these the quotas."""
    size, top_k, cluster = picks.numel(), picks.shape[1], rules.cluster
    gpus = power_of_two(cluster.gpus)
    facts = rules.experts, held.log2phy.stride(0), cluster.slots_per_gpu
    shapes: dict[str, Any] = {
        "HAS_PADDING": unpadded is not None,
        "EXPERTS": power_of_two(rules.experts),
        "ROWS": rules.rows,
        "CODES": 2 * max(rules.rows, gpus),
    }
    found, programs = None, 1
    if size > FEW:
        blocks = triton.cdiv(size, COUNT_BLOCK)
        each = power_of_two(triton.cdiv(blocks, MOST_PROGRAMS))
        programs = triton.cdiv(blocks, each)
        found = picks.new_empty((programs, shapes["CODES"]), dtype=torch.int32)
        of_blocks = {"BLOCK": COUNT_BLOCK, "BLOCKS": each}
        count_kernel[(programs,)](picks, unpadded, *held, found, size, top_k, *facts, **of_blocks, **shapes)
    scratch = picks.new_empty((cluster.slots,), dtype=torch.int32)
    rank = -1 if rules.rank is None else rules.rank
    of_cluster = cluster.gpus, cluster.gpus_per_node, rank, rules.ranks, rules.turn, rules.floor
    fill_kernel[(1,)](
        *(picks, unpadded, found, *held, scratch, out, entries, size, top_k, programs, *facts, *of_cluster),
        COUNTED=size > FEW,
        IN_ORDER=entries is None,
        BLOCK=power_of_two(min(size, FEW)),
        PROGRAMS=power_of_two(programs),
        REPLICAS=rules.replicas,
        GPUS=gpus,
        SEATS=power_of_two(cluster.slots_per_gpu),
        UNITS=units_of(size),
        ROUNDS=ROUNDS[size <= FEW],
        PASSES=rules.passes,
        **shapes,
        num_warps=WARPS,
    )
