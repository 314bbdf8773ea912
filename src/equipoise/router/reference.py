"""The router in torch: what its kernels do, bit for bit, on any device.

An expert with several replicas is a *row*. Its picks are shared out in whole units, and moved in rounds: each row is
poured over its replicas as if the others stood still, and goes half the way there from where it was a round ago, which
carries load further along a chain of GPUs than half the way from where it is (the heavy ball of Polyak, 1964).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from equipoise.router.rules import (
    EXPERT_TURN,
    FEW,
    HASH,
    NEVER,
    NODE_MATE,
    OTHER_NODE,
    ROUNDS,
    SIXTEENTHS,
    TABLE,
    units_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from equipoise.router.held import Held
    from equipoise.router.rules import RoutingRules


class Rows(NamedTuple):
    """The experts of a layer that have several replicas."""

    expert: Tensor  # [rows]
    picks: Tensor  # [rows]
    gpu: Tensor  # [rows, replicas], the primary's first; 0 where there is no replica
    valid: Tensor  # [rows, replicas]


def fill_table(picks: Tensor, held: Held, rules: RoutingRules, unpadded: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the slots of each expert, each as often as its share of the picks, and how many of them count.

    Parameters
    ----------
    picks : Tensor, int32 or int64 ``[tokens, top_k]``
        Experts that the batch picks; what is none is not counted.
    held : Held
        Their slots.
    rules : RoutingRules
        Of the cluster, and what is not split.
    unpadded : Tensor, one int, or None
        How many tokens come before those of padding, which are not counted.

    Returns
    -------
    table : Tensor ``[experts, 64]``
        Slots; of experts with a single replica the first counts.
    entries : Tensor ``[experts]``
        How many count: 1 or 64.
    """
    rows, upto = _filled(picks, held, rules, unpadded)
    entry = torch.arange(TABLE, device=picks.device)
    turned = (entry + EXPERT_TURN * rows.expert[:, None] + rules.turn) % TABLE
    which = (_ends(upto, TABLE, rules)[:, :, None] <= turned[:, None, :]).sum(dim=1)
    table = held.log2phy[:, :1].repeat(1, TABLE)
    table[rows.expert] = held.log2phy[rows.expert].gather(1, which)
    entries = torch.ones_like(held.log2phy[:, 0])
    entries[rows.expert] = TABLE
    return table, entries


def fill_quotas(picks: Tensor, held: Held, rules: RoutingRules) -> Tensor:
    """Return where in an expert's picks each replica's part ends, int32 ``[experts, replicas]``."""
    rows, upto = _filled(picks, held, rules, None)
    ends = torch.full((rules.experts, rules.replicas), NEVER, dtype=torch.int32, device=picks.device)
    ends[rows.expert] = _ends(upto, rows.picks[:, None], rules).to(torch.int32)
    return ends


def look_up(picks: Tensor, table: Tensor, entries: Tensor) -> Tensor:
    """Return the slot in the table of each pick, by the number of its token; what is no expert passes through."""
    token = torch.arange(len(picks), device=picks.device)[:, None]
    inside = (picks >= 0) & (picks < len(entries))
    expert = torch.where(inside, picks, 0).long()
    entry = ((token * HASH) & 0xFFFFFFFF) % entries[expert]
    return torch.where(inside, table[expert, entry].to(picks.dtype), picks)


def _filled(picks: Tensor, held: Held, rules: RoutingRules, unpadded: Tensor | None) -> tuple[Rows, Tensor]:
    """Return the rows, and how many units of each go to its first replica, its first two and so on."""
    counted = picks if unpadded is None else picks[torch.arange(len(picks), device=picks.device) < unpadded]
    counted = counted[(counted >= 0) & (counted < rules.experts)]
    counts = torch.bincount(counted.long(), minlength=rules.experts)
    rows, units = _rows(counts, held, rules), units_of(picks.numel())
    fixed = units * _of_single_replicas(counts, rows, held, rules) + _distance(units * counts.sum(), rules)
    return rows, _settled(rows, fixed, rules, picks.numel()).cumsum(dim=1)


def _rows(counts: Tensor, held: Held, rules: RoutingRules) -> Rows:
    """Return the first ``rules.rows`` experts with several replicas, and the first ``rules.replicas`` of each."""
    expert = torch.nonzero(held.logcnt > 1)[: rules.rows, 0]
    column = torch.arange(rules.replicas, device=counts.device)
    slot = held.log2phy[expert][:, column.clamp(max=held.log2phy.shape[1] - 1)].long()
    valid = (column < held.logcnt[expert, None]) & (slot >= 0)
    return Rows(expert, counts[expert], torch.where(valid, slot // rules.cluster.slots_per_gpu, 0), valid)


def _of_single_replicas(counts: Tensor, rows: Rows, held: Held, rules: RoutingRules) -> Tensor:
    """Return the picks that each GPU gets because nobody else could, ``[gpus]``."""
    slot = held.log2phy[:, 0].long()
    single = slot >= 0
    single[rows.expert] = False
    load = torch.zeros(rules.cluster.gpus, dtype=torch.int64, device=counts.device)
    return load.index_add(0, slot[single] // rules.cluster.slots_per_gpu, counts[single])


def _distance(everything: Tensor, rules: RoutingRules) -> Tensor:
    """Return by how much each GPU counts as fuller because it is further away, ``[gpus]``; of all that is sent."""
    gpu, per_node = torch.arange(rules.cluster.gpus, device=everything.device), rules.cluster.gpus_per_node
    if rules.rank is None:
        return torch.zeros_like(gpu)
    away = torch.where(gpu // per_node == rules.rank // per_node, NODE_MATE, OTHER_NODE)
    return torch.where(gpu == rules.rank, 0, away) * everything // (SIXTEENTHS * rules.cluster.gpus)


def _settled(rows: Rows, fixed: Tensor, rules: RoutingRules, picks: int) -> Tensor:
    """Return the units of each replica after all rounds, ``[rows, replicas]``; fixed: those of each GPU besides."""
    load = units_of(picks) * rows.picks[:, None]
    split = rows.valid & (rows.picks[:, None] * rules.ranks > rules.floor)
    primary = torch.arange(rules.replicas, device=load.device) == 0
    even = load // rows.valid.sum(dim=1, keepdim=True).clamp(min=1)
    now = before = torch.where(split, even, torch.where(primary, load, 0))
    for _ in range(ROUNDS[picks <= FEW]):
        gpu_load = fixed.index_add(0, rows.gpu.flatten(), now.flatten())
        target = _poured(load, gpu_load[rows.gpu] - now, rows.valid, rules.passes)
        now, before = torch.where(split, (now + ((target - before) >> 1)).clamp(min=0), now), now
    return now


def _poured(load: Tensor, others: Tensor, valid: Tensor, passes: int) -> Tensor:
    """Return what each replica gets of its expert's load if that makes its GPUs level; others: what they carry else."""
    below, level = valid, load
    for _ in range(passes):
        carried = torch.where(below, others, 0).sum(dim=1, keepdim=True)
        level = (load + carried) // below.sum(dim=1, keepdim=True).clamp(min=1)
        below = below & (others <= level)
    return torch.where(below, level - others, 0)


def _ends(upto: Tensor, whole: Tensor | int, rules: RoutingRules) -> Tensor:
    """Return where in a whole that is shared out as the units are each replica's part ends, ``[rows, replicas]``."""
    upto = torch.where(upto[:, -1:] == 0, 1, upto)  # what nobody picks is its primary's
    everything = upto[:, -1:]
    return (upto * whole + everything * rules.turn // TABLE) // everything
