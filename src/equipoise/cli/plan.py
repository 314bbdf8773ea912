"""``equipoise plan``: loads in, a placement out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated, Any

import typer

from equipoise.cli.options.cluster import SAMPLE, ClusterOptions, Dead, Nodes, Redundant, Slots
from equipoise.cli.options.formats import (
    FromFormats,
    ToPlacement,
    source_formats_of,
)
from equipoise.cli.options.layers import FirstMoeLayer, LayerOptions, MoeLayers, NumLayers
from equipoise.cli.options.loads import (
    AskedExperts,
    AskedWindows,
    LoadsOptions,
    named_recordings,
    recordings_in_title,
)
from equipoise.cli.options.model import AskedModel, ModelOptions
from equipoise.cli.options.panels import CLUSTER, LOCALITY, OUTPUT, PLANNING, REPLANNING
from equipoise.cli.options.planning import (  # noqa: TC001 - Typer reads the annotations when it runs
    AskedAcross,
    AskedEffort,
    AskedForecast,
    AskedLocality,
    MinReplicas,
    OffNode,
    Workers,
)
from equipoise.cli.options.timing import AskedCost, AskedDtype, AskedGpu, TimingOptions, Tokens, TopK
from equipoise.cli.options.values import parse_moves, parse_share
from equipoise.planning.request import PlannedRouting  # noqa: TC001

OWN_FORMAT = "equipoise"  # which has the numbers of the layers, as the table has


def plan(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="LOADS...",
            help="Recorded loads: files or folders, that follow on each other; without, a synthetic sample.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, help="GPUs in all; needed with LOADS but no --current.", rich_help_panel=CLUSTER),
    ] = None,
    nodes: Nodes = None,
    redundant: Redundant = None,
    slots: Slots = None,
    dead: Dead = None,
    groups: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Expert groups, each at home on a node; otherwise as --current or --model has them, or 1.",
            rich_help_panel=LOCALITY,
        ),
    ] = None,
    model: AskedModel = None,
    locality: AskedLocality = None,
    off_node: OffNode = None,
    current: Annotated[
        Path | None,
        typer.Option(help="The placement that is live, to change as little as pays.", rich_help_panel=REPLANNING),
    ] = None,
    max_moves: Annotated[
        float | None,
        typer.Option(
            parser=parse_moves,
            metavar="MOVES",
            help="Moves from --current at most: a number, or 10% of the slots.",
            rich_help_panel=REPLANNING,
        ),
    ] = None,
    min_gain: Annotated[
        float,
        typer.Option(
            parser=parse_share,
            metavar="SHARE",
            help="Move nothing for less than this fall of PAR.",
            rich_help_panel=REPLANNING,
        ),
    ] = "0%",  # type: ignore[assignment]  # Typer parses the default too
    min_replicas: MinReplicas = 1,
    across: AskedAcross = "gpus",
    forecast: AskedForecast = "auto",
    routing: Annotated[
        PlannedRouting,
        typer.Option(help="Whether replicas share evenly, as in engines, or a router fills.", rich_help_panel=PLANNING),
    ] = "even",
    effort: AskedEffort = "default",
    workers: Workers = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the placement to this file; - is stdout, with nothing else on it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    source_formats: FromFormats = None,
    windows: AskedWindows = None,
    experts: AskedExperts = None,
    output_format: ToPlacement = None,
    first_moe_layer: FirstMoeLayer = None,
    moe_layers: MoeLayers = None,
    num_layers: NumLayers = None,
    cost: AskedCost = None,
    gpu: AskedGpu = None,
    dtype: AskedDtype = None,
    tokens: Tokens = None,
    top_k: TopK = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.csv",
            help="Write a table with a row for each GPU of each layer; - is stdout, with nothing else on it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page about the plan.", rich_help_panel=OUTPUT)
    ] = None,
    png: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Draw the load of every GPU.", rich_help_panel=OUTPUT)
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object, with the figures of every layer.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    """Plan where the experts live, for recorded loads or for a synthetic sample in DeepSeek-V3's shape."""
    options, named = ClusterOptions(gpus, nodes, redundant, slots, dead), ModelOptions(model)
    timing = TimingOptions(cost, gpu, dtype, tokens, top_k)
    layers = LayerOptions(named, first_moe_layer, moe_layers, num_layers)
    loads_format, placement_format = source_formats_of(source_formats, bool(recordings), current is not None)
    if recordings and gpus is None and current is None:
        raise typer.BadParameter("say how many GPUs the recorded loads are planned for", param_hint="--gpus")

    if output_format is not None and output is None:
        raise typer.BadParameter("say which file to write with --output", param_hint="--to")

    from equipoise.cli.options.reports import check_files, this_command
    from equipoise.cli.summaries.plan import Run, print_summary, summary, what_was_planned
    from equipoise.cli.summaries.plan_table import plan_table
    from equipoise.cli.summaries.timing import cost_summary
    from equipoise.cli.summaries.words import counted
    from equipoise.cli.summaries.written import placement_in_words
    from equipoise.cli.terminal.console import print_json
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.cli.terminal.stopwatch import stopwatch
    from equipoise.formats import check_placement_path, read_placement, write_placement
    from equipoise.formats.files.atomic import write_whole
    from equipoise.planner import plan as plan_placement
    from equipoise.planner import warm_up
    from equipoise.planning.request import Request

    written = check_placement_path(output, output_format) if output else None
    layers.check_used(written or (OWN_FORMAT if csv else None), reads_placement=current is not None)
    # A plan may take the place of the placement that it starts from, and of nothing else.
    replaces = current is not None and output is not None and current.resolve() == output.resolve()
    kept = None if replaces else current
    read = {"recorded loads": recordings, "current placement": kept, "cost": cost, "model": named.file}
    printed = check_files({"--output": output, "--csv": csv, "--report": report, "--png": png}, read, as_json)
    batches = timing.batches(named.model)
    loads = layers.numbered(LoadsOptions(loads_format, named, windows, experts).read_or_sample(recordings))
    live = read_placement(current, placement_format, layers.deployment(gpus, nodes)) if current else None
    like = live.cluster if live else None if recordings else SAMPLE
    named.check_experts(loads.experts)
    cluster = options.cluster(loads.experts, like, groups)
    asked: dict[str, Any] = {
        "groups": groups if live else named.groups(groups, cluster),
        "locality": locality,
        "off_node": off_node,
        "current": live,
        "max_moves": max_moves,
        "min_gain": min_gain,
        "min_replicas": min_replicas,
        "across": across,
        "routing": routing,
        "effort": effort,
        "workers": workers,
    }
    request = Request.checked(loads, cluster, **asked)  # what contradicts is refused before anything is compiled
    with progress_bar("getting ready"), stopwatch() as start:
        warm_up(bool(live or cluster.dead or request.soft), loads.windows, routing, request.across)
    with progress_bar("planning") as progress, stopwatch() as time:
        result = plan_placement(loads, cluster, forecast=forecast, **asked, progress=progress)
    holds = None
    if output and written:
        deployment = layers.to_write(result.placement, written)
        write_placement(result.placement, output, written, deployment)
        holds = placement_in_words(result.placement, written, deployment)
    with progress_bar("timing"):
        times = [result.time_saved(batch) for batch in batches]
    if csv is not None:
        numbers = layers.to_write(result.placement, OWN_FORMAT).known_layers(result.placement)
        write_whole(csv, plan_table(result, times, numbers))
    run = Run(
        named_recordings(recordings),
        current,
        model,
        groups is None and live is None,
        effort,
        start,
        time,
        output,
        holds,
        csv,
        report,
        png,
    )
    found = summary(result, loads, run, times, cost_summary(batches, timing.source))
    title = f"Plan for {recordings_in_title(recordings)}, {counted(cluster.gpus, 'GPU')}"
    with progress_bar("drawing"):
        if report is not None:
            from equipoise.report.pages.plan import plan_page

            plan_page(result, loads, title, what_was_planned(found), this_command(), times).save(report)
        if png is not None:
            from equipoise.report import plan_figure
            from equipoise.report.picture import save_picture

            save_picture(plan_figure(result), title, png)
    if as_json:
        print_json(found)
    elif not printed:
        print_summary(found)
