"""``equipoise plan``: loads in, a placement out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from equipoise.cluster import Cluster
    from equipoise.loads import Loads

SAMPLE_GPUS, SAMPLE_NODES, SAMPLE_REDUNDANT = 32, 4, 32


def plan(
    recording: Annotated[
        Path | None,
        typer.Argument(
            metavar="LOADS",
            help="Recorded loads: .npy, .npz, .json or SGLang's .pt; without, a synthetic sample.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs in all; needed with LOADS.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes they are in; otherwise 1.")] = None,
    redundant: Annotated[
        int | None, typer.Option(min=0, help="Slots of a layer beyond one for each expert; otherwise 0.")
    ] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Slots of a layer in all, instead of --redundant.")] = None,
    groups: Annotated[int, typer.Option(min=1, help="Expert groups, each kept together on a node.")] = 1,
    effort: Annotated[
        Literal["fast", "default", "thorough"], typer.Option(help="How far to search for better placements.")
    ] = "default",
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; any number gives the same placement.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the placement to this file.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with the figures of every layer.")
    ] = False,
) -> None:
    """Plan where the experts live, for recorded loads or for a synthetic sample in DeepSeek-V3's shape."""
    if slots is not None and redundant is not None:
        raise typer.BadParameter("say --slots or --redundant, not both", param_hint="--slots")
    if recording is not None and gpus is None:
        raise typer.BadParameter("say how many GPUs the recorded loads are planned for", param_hint="--gpus")
    if recording is not None and output is not None and recording.resolve() == output.resolve():
        raise typer.BadParameter("the placement would replace the recorded loads", param_hint="--output")

    from equipoise.cli.console import print_json
    from equipoise.cli.plan_figures import figures, print_figures
    from equipoise.cli.progress import progress_bar
    from equipoise.cli.stopwatch import stopwatch
    from equipoise.cluster import Cluster
    from equipoise.formats.whole_file import check_writable
    from equipoise.planner import plan as plan_placement

    if output is not None:
        check_writable(output)
    loads, cluster = _loads_and_cluster(recording, gpus, nodes, redundant, slots)
    with progress_bar("getting ready"), stopwatch() as start:
        plan_placement([1], Cluster(gpus=1))  # compiles the loops, or reads them from disk
    with progress_bar("planning") as progress, stopwatch() as time:
        result = plan_placement(loads, cluster, groups=groups, effort=effort, workers=workers, progress=progress)
    if output is not None:
        result.placement.save(output)
    found = figures(result, loads, recording, groups, effort, start, time, output)
    if as_json:
        print_json(found)
    else:
        print_figures(found)


def _loads_and_cluster(
    recording: Path | None, gpus: int | None, nodes: int | None, redundant: int | None, slots: int | None
) -> tuple[Loads, Cluster]:
    """Return what is planned; the sample has a cluster of its own where the options leave it open."""
    from equipoise.cluster import Cluster
    from equipoise.loads import Loads
    from equipoise.sample import sample_loads

    if recording is None:
        loads = sample_loads()
        gpus, nodes, usual = gpus or SAMPLE_GPUS, nodes or SAMPLE_NODES, SAMPLE_REDUNDANT
    else:
        loads = Loads.read(recording)
        gpus, nodes, usual = gpus or 1, nodes or 1, 0
    if slots is not None:
        return loads, Cluster.for_slots(slots, experts=loads.experts, gpus=gpus, nodes=nodes)
    redundant = usual if redundant is None else redundant
    return loads, Cluster.for_experts(loads.experts, gpus=gpus, nodes=nodes, redundant=redundant)
