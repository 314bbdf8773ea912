"""What a setup would have reached: planned for the past, judged by the windows that came next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.forecasting.backtest import cuts_of
from equipoise.loads import Loads
from equipoise.planner import plan
from equipoise.serving.balance import balance
from equipoise.sizing.cell import Cell
from equipoise.timing.layer_time import layer_time

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
    which that window then judges. A single window is planned for and judges that itself.
    """
    served = list(_served(setup, question))
    return [
        _cell(setup, question, batch, routing, served) for batch in question.batches for routing in question.routings
    ]


def _served(setup: Setup, question: Question) -> Iterator[tuple[Placement, Loads]]:
    """Yield each plan and what came after it."""
    trace = question.trace
    cuts = cuts_of(trace.windows, ahead=1)
    times = [(trace.counts[:now], trace.counts[now]) for now in cuts] or [(trace.counts, trace.counts[0])]
    for past, came in times:
        planned = plan(Loads(past), setup.cluster, groups=setup.groups, effort=question.effort, workers=1)
        yield planned.placement, Loads(came)


def _cell(
    setup: Setup, question: Question, batch: Batch, routing: Routing, served: list[tuple[Placement, Loads]]
) -> Cell:
    cluster, layers = setup.cluster, question.trace.layers
    pars = [balance(*one, routing=routing, batch=batch.tokens).par.mean() for one in served]
    times = [layer_time(*one, batch, routing=routing, draws=DRAWS) for one in served]
    time, error = np.transpose([one.mean() for one in times])
    of_a_layer = float(time.mean())
    return Cell(
        gpus=cluster.gpus,
        nodes=cluster.nodes,
        slots_per_gpu=cluster.slots_per_gpu,
        groups=setup.groups,
        tokens=batch.tokens,
        routing=routing,
        par=float(np.mean(pars)),
        layer_time=of_a_layer,
        error=float(np.sqrt((error**2).sum()) / len(error)),
        beyond=any(one.beyond for one in times),
        memory=question.expert_bytes and question.expert_bytes * layers * cluster.slots_per_gpu,
        tokens_per_second=1e6 * batch.tokens / (layers * of_a_layer) if of_a_layer else 0.0,
    )
