"""What a setup would have reached: planned for the past, judged by the windows that came next."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.forecasting.backtest import cuts_of
from equipoise.loads import Loads
from equipoise.planner import plan
from equipoise.serving.balance import balance
from equipoise.serving.slot_shares import FILLED
from equipoise.sizing.cell import Cell
from equipoise.timing.layer_time import error_of_mean, layer_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from equipoise.placement import Placement
    from equipoise.planning.effort import Effort
    from equipoise.serving.slot_shares import Routing
    from equipoise.sizing.setup import Setup
    from equipoise.timing.batch import Batch

DRAWS = 32  # of each window that came


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of every setup.

    Attributes
    ----------
    trace : Loads
        Recorded windows, the oldest first.
    batches : sequence of Batch
        Sizes of batches, and what they cost.
    routings : sequence of str
        Which replica a token goes to.
    expert_bytes : int or None
        Weights of an expert of one layer.
    effort : str
        How far to search for better placements.
    """

    trace: Loads
    batches: Sequence[Batch]
    routings: Sequence[Routing]
    expert_bytes: int | None
    effort: Effort


def judge(setup: Setup, question: Question) -> list[Cell]:
    """Return a cell for each batch and routing.

    For each of the last windows, as many as the backtest of forecasts looks at, a plan is made from those before it,
    which that window then judges; idle ones judge nothing. A single window is planned for and judges that itself.

    Raises
    ------
    InputError
        If all windows that would judge are idle, or the setup cannot serve the trace.
    """
    planned_for = {routing: FILLED if routing == FILLED else "even" for routing in question.routings}
    served = {kind: list(_served(setup, question, kind)) for kind in dict.fromkeys(planned_for.values())}
    choices = product(question.batches, question.routings)
    return [_cell(setup, question, *choice, served[planned_for[choice[1]]]) for choice in choices]


def _served(setup: Setup, question: Question, routing: str) -> Iterator[tuple[Placement, Loads]]:
    """Yield each plan for this routing, and what came after it."""
    trace = question.trace
    cuts = cuts_of(trace.windows, ahead=1)
    times = [(trace.counts[:now], trace.counts[now]) for now in cuts] or [(trace.counts, trace.counts[0])]
    busy = [(past, came) for past, came in times if came.any()]
    if not busy:
        raise InputError(
            f"the last {len(times)} windows, which would judge every setup, are idle; expected loads there"
        )
    asked: dict[str, Any] = {"groups": setup.groups, "effort": question.effort, "workers": 1, "routing": routing}
    for past, came in busy:
        yield plan(Loads(past), setup.cluster, **asked).placement, Loads(came)


def _cell(
    setup: Setup, question: Question, batch: Batch, routing: Routing, served: list[tuple[Placement, Loads]]
) -> Cell:
    cluster, layers = setup.cluster, question.trace.layers
    pars = [balance(*one, routing=routing, batch=batch.tokens).mean_par for one in served]
    times = [layer_time(*one, batch, routing=routing, draws=DRAWS, seed=number) for number, one in enumerate(served)]
    time, error = np.transpose([one.mean() for one in times])
    of_a_layer = float(time.mean())
    busy_layers = float(np.mean([one.busy.sum() for one in times]))
    return Cell(
        gpus=cluster.gpus,
        nodes=cluster.nodes,
        slots_per_gpu=cluster.slots_per_gpu,
        groups=setup.groups,
        tokens=batch.tokens,
        routing=routing,
        par=float(np.mean(pars)),
        layer_time=of_a_layer,
        error=error_of_mean(error),
        beyond=any(one.beyond for one in times),
        memory=question.expert_bytes and question.expert_bytes * layers * cluster.slots_per_gpu,
        tokens_per_second=1e6 * batch.tokens / (busy_layers * of_a_layer),
    )
