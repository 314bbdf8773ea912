"""size(): how many slots to have, over how many GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from equipoise.errors import InputError, check_choice, check_count, setting
from equipoise.loads import Loads
from equipoise.serving.slot_shares import Routing
from equipoise.sizing.judging import Question
from equipoise.sizing.kept import Kept
from equipoise.sizing.recommending import recommend
from equipoise.sizing.running import judge_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from equipoise.planning.effort import Effort
    from equipoise.sizing.cell import Cell
    from equipoise.sizing.recommending import Advice
    from equipoise.sizing.setup import Setup
    from equipoise.timing.batch import Batch


@dataclass(frozen=True, eq=False)
class Sizing:
    """What each choice reaches, and which to take.

    Attributes
    ----------
    cells : list of Cell
        A row for each setup, batch and routing.
    advice : list of Advice
        What to have, by the size of the batches.
    """

    cells: list[Cell]
    advice: list[Advice]


def size(
    trace: Loads | ArrayLike,
    setups: Sequence[Setup],
    batches: Sequence[Batch],
    *,
    routings: Sequence[Routing] = ("even",),
    expert_bytes: int | None = None,
    effort: Effort = "default",
    ray: str | None = None,
    kept: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sizing:
    """Say what every setup would have reached on recorded traffic, and which to have.

    Each is planned for on the past and judged by the window that came next, as a backtest of forecasts does: PAR, and
    the time of a layer for each batch and routing.

    Parameters
    ----------
    trace : Loads or array_like, ``[windows, layers, experts]`` or fewer axes
        Recorded expert loads, the oldest window first. One window alone judges the plan that is made for it.
    setups : sequence of Setup
        Clusters, and groups kept on their nodes; :func:`equipoise.setups_of` makes all that come into question.
    batches : sequence of Batch
        Sizes of batches, all with the same cost.
    routings : sequence of str
        Which replica a token goes to; see :func:`equipoise.slot_shares`.
    expert_bytes : int, optional
        Weights of an expert of one layer, for the memory that slots take.
    effort : "fast", "default" or "thorough"
        How far to search for better placements.
    ray : str, optional
        Address of a Ray cluster to judge on, where the same Equipoise is installed; otherwise this machine's cores do.
    kept : Path, optional
        Folder to keep what is done in until all is, so that a run that was stopped goes on from there.
    progress : callable, optional
        Called as ``progress(setups that are judged, setups)``.

    Raises
    ------
    InputError
        If there is no setup or batch, the trace is not valid, a setup cannot serve it, there is no such routing, or no
        Ray cluster answers.

    Examples
    --------
    >>> from equipoise import Batch, ExpertCost, setups_of, size, synthetic_trace
    >>> trace = synthetic_trace("slow", windows=6, layers=2, experts=64)
    >>> cost = ExpertCost(layer=67, expert=14.6, tiles={128: 16.8})
    >>> found = size(trace, setups_of(64, gpus=[8]), [Batch(tokens=64, top_k=8, cost=cost)])
    >>> [(cell.slots_per_gpu, round(cell.layer_time)) for cell in found.cells]
    [(8, 338), (9, 356), (10, 382)]
    >>> found.advice[0].cells[0].slots_per_gpu
    8
    """
    trace = trace if isinstance(trace, Loads) else Loads(trace)
    if not setups or not batches or not routings:
        raise InputError("there is no setup, no batch or no routing to judge; expected one of each at least")
    setups, routings = list(dict.fromkeys(setups)), list(dict.fromkeys(routings))
    if expert_bytes is not None:
        expert_bytes = check_count(setting("expert_bytes"), expert_bytes)
    for routing in routings:
        check_choice(setting("routing"), routing, get_args(Routing))
    question = Question(trace, batches, routings, expert_bytes, effort)
    keeping = Kept(kept, question) if kept else None
    if keeping:
        keeping.open()
    found = {setup: cells for setup in setups if keeping and (cells := keeping.find(setup))}
    for setup, cells in judge_all([setup for setup in setups if setup not in found], question, ray):
        found[setup] = cells
        if keeping:
            keeping.keep(setup, cells)
        if progress:
            progress(len(found), len(setups))
    if keeping:
        keeping.forget(setups)
    cells = [cell for setup in setups for cell in found[setup]]
    return Sizing(cells, recommend(cells, batches[0].cost.residual))
