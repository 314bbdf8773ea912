"""Replan in turns from what is live; measure what moves and what is served off its home node too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.compare import Result, Turns, judge, take_turns, timed
from benchmarks.loads import counts_of
from benchmarks.peers import VLLM
from benchmarks.planner import Equipoise, Planner
from equipoise import Placement
from equipoise.migration.migration import count_moves
from equipoise.planning.homes import homes, off_node_load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.replanning_cases import Ask, Replanning
    from equipoise.planning.effort import Effort


@dataclass(frozen=True)
class Replanned:
    """A result, with what it costs.

    Attributes
    ----------
    ask : Ask or None
        What Equipoise was asked for; None for vLLM, which cannot be asked.
    unplaced : int
        Experts without a slot, over all layers.
    moved : float or None
        Moves from the live placement, as a share of the live slots; None where nothing is live.
    required : float or None
        Experts that no live GPU holds, as such a share: no plan has fewer moves.
    off_node : float or None
        Share of the load that is served off its home node; None where there are no groups.
    """

    result: Result
    ask: Ask | None
    unplaced: int
    moved: float | None
    required: float | None
    off_node: float | None


def replan(
    replanning: Replanning, folder: Path | None, beside_vllm: bool, efforts: Sequence[Effort], rounds: int
) -> list[Replanned]:
    """Return what vLLM reaches, if it is there, and what Equipoise does for each ask."""
    case, counts = replanning.case, counts_of(replanning.case, folder)
    live = _live(replanning, folder)
    asked = [(effort, ask) for effort in efforts for ask in replanning.asks]
    ours = [Equipoise(effort, live, ask.limits) for effort, ask in asked]
    peers: list[Planner] = [VLLM(live)] if beside_vllm else []
    turns = take_turns(case, counts, [*peers, *ours], rounds)
    asks = [*(None for _ in peers), *(ask for _, ask in asked)]
    return [_judge(one, ask, counts, live, case.groups) for one, ask in zip(turns, asks, strict=True)]


def _live(replanning: Replanning, folder: Path | None) -> Placement | None:
    """Return the placement to start from."""
    if replanning.live is None:
        return None
    before = replanning.planned_before
    counts = counts_of(before, folder)
    planner = VLLM() if replanning.live == "vLLM" else Equipoise("default")
    return Placement(timed(planner, before, counts)[0].phy2log, before.cluster, counts.shape[1])


def _judge(turns: Turns, ask: Ask | None, counts: NDArray[np.int64], live: Placement | None, groups: int) -> Replanned:
    """Return the result of one planner, judged by the same code as every other."""
    placement = turns.placement
    moved = required = off_node = None
    if live:
        slots = placement.layers * placement.cluster.live_slots
        nowhere = ~live.held[:, list(placement.cluster.live)].any(axis=1)
        moved, required = int(count_moves(live, placement).sum()) / slots, int(nowhere.sum()) / slots
    if groups > 1:
        loads = counts.astype(np.float64)
        off = off_node_load(placement, loads, homes(placement, groups, loads))
        off_node = float(off.sum() / counts.sum())
    unplaced = int(np.count_nonzero(placement.logcnt == 0))
    return Replanned(judge(turns, counts), ask, unplaced, moved, required, off_node)
