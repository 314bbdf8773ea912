"""``equipoise measure``: what experts take on this machine's GPU, timed and fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.options.model import ModelOptions
from equipoise.timing.known_gpus import Dtype  # noqa: TC001


def measure(
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model, by its name or its config.json, whose experts are timed."),
    ] = None,
    hidden_size: Annotated[int | None, typer.Option(min=1, help="Width of a token, instead of --model.")] = None,
    expert_size: Annotated[
        int | None, typer.Option(min=1, help="Width of what an expert makes of it in between, instead of --model.")
    ] = None,
    slots: Annotated[
        list[int], typer.Option(min=1, max=1024, metavar="SLOTS", help="Slots of a GPU; may be repeated, for several.")
    ] = [8, 9, 10],  # noqa: B006 - Typer changes nothing
    dtype: Annotated[Dtype, typer.Option(help="The type of weights and tokens.")] = "bf16",
    points: Annotated[
        int, typer.Option(min=32, max=1_000_000, help="GPUs to time; fewer where that takes too long.")
    ] = 6000,
    check: Annotated[
        bool, typer.Option("--check", help="Compare what is predicted for GPUs of random placements with their times.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the cost to this file, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time the experts of GPUs on this machine, and fit what tokens, experts and tiles cost."""
    own = ModelOptions(model).file
    if own is not None and output is not None and output.resolve() == own.resolve():
        raise typer.BadParameter("the cost would replace the model", param_hint="--output")
    sizes, top_k = _experts(model, hidden_size, expert_size)

    from equipoise.cli.summaries.measure import Run, print_summary, summary
    from equipoise.cli.terminal.console import print_json
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.formats import write_cost
    from equipoise.formats.files.atomic import check_writable
    from equipoise.timing.check import check_placements
    from equipoise.timing.expert_cost import ExpertCost
    from equipoise.timing.measure import this_machine, time_gpus
    from equipoise.timing.points import as_table, points_to_fit

    if output is not None:
        check_writable(output)
    conditions = replace(this_machine(*sizes, dtype), top_k=top_k)
    slots = sorted(set(slots))
    gpus = points_to_fit(slots, points)
    with progress_bar("measuring") as progress:
        times = time_gpus(gpus, conditions, progress)
    cost = ExpertCost.fit(as_table(gpus), times, conditions)
    if output is not None:
        write_cost(cost, output)
    with progress_bar("checking") as progress:
        checked = check_placements(cost, slots, progress) if check else []
    found = summary(cost, checked, Run(model, slots, points, output))
    if as_json:
        print_json(found)
    else:
        print_summary(found)


def _experts(model: str | None, hidden_size: int | None, expert_size: int | None) -> tuple[tuple[int, int], int | None]:
    """Return the hidden size and the expert size that were asked for, one way or the other; the top-k of a model."""
    if model is None:
        if hidden_size is None or expert_size is None:
            raise typer.BadParameter("say whose experts, or both --hidden-size and --expert-size", param_hint="--model")
        return (hidden_size, expert_size), None
    if hidden_size is not None or expert_size is not None:
        raise typer.BadParameter("the model says how large its experts are", param_hint="--model")

    from equipoise.formats import read_model

    known = read_model(model)
    return (known.hidden_size, known.expert_size), known.top_k
