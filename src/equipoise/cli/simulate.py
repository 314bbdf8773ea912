"""``equipoise simulate``: a trace replayed under several policies."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated, Any

import typer

from equipoise.cli.options.cluster import SAMPLE, ClusterOptions, Dead, Nodes, Redundant, Slots
from equipoise.cli.options.formats import FromFormat  # noqa: TC001
from equipoise.cli.options.loads import (
    AskedExperts,
    AskedWindows,
    LoadsOptions,
    named_recordings,
    recordings_in_title,
)
from equipoise.cli.options.model import AskedModel, ModelOptions
from equipoise.cli.options.panels import CLUSTER, LOCALITY, OUTPUT, PLANNING, REPLANNING
from equipoise.cli.options.planning import AskedEffort, AskedForecast, AskedLocality, OffNode, Workers  # noqa: TC001
from equipoise.cli.options.routing import parse_routing
from equipoise.cli.options.timing import AskedCost, AskedDtype, AskedGpu, TimingOptions, Tokens, TopK
from equipoise.cli.options.values import parse_moves, parse_size

EXPERT_BYTES = 44_000_000  # of DeepSeek-V3, in FP8


def simulate(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TRACE...",
            help="Recorded loads, window by window, a file or an engine's folder of them; without, a synthetic sample.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs in all; needed with TRACE.", rich_help_panel=CLUSTER)
    ] = None,
    nodes: Nodes = None,
    redundant: Redundant = None,
    slots: Slots = None,
    dead: Dead = None,
    groups: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Expert groups, each at home on a node; otherwise as --model has, or 1.",
            rich_help_panel=LOCALITY,
        ),
    ] = None,
    model: AskedModel = None,
    locality: AskedLocality = None,
    off_node: OffNode = None,
    interval: Annotated[int, typer.Option(min=1, help="Windows served between two decisions.")] = 1,
    window: Annotated[int, typer.Option(min=1, help="Windows of the past that a decision looks at.")] = 8,
    max_moves: Annotated[
        list[float],
        typer.Option(
            parser=parse_moves,
            metavar="MOVES",
            help="Moves of a decision at most: a number, or 5% of the slots; may be repeated, each is a policy.",
            rich_help_panel=REPLANNING,
        ),
    ] = ["5%"],  # type: ignore[list-item]  # noqa: B006 - Typer parses the default too, and changes nothing
    forecast: AskedForecast = "auto",
    effort: AskedEffort = "default",
    workers: Workers = None,
    interval_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Move only what saves more time than it takes, if experts run for so long between two decisions.",
        ),
    ] = None,
    expert_bytes: Annotated[
        int | None,
        typer.Option(
            parser=parse_size,
            metavar="SIZE",
            help="Weights of an expert of one layer; otherwise of those that the cost is for, or 44MB.",
            show_default=False,
        ),
    ] = None,
    within_nodes: Annotated[
        int, typer.Option(parser=parse_size, metavar="SIZE", help="What a GPU sends within its node in a second.")
    ] = "400GB",  # type: ignore[assignment]
    between_nodes: Annotated[
        int, typer.Option(parser=parse_size, metavar="SIZE", help="What a GPU sends to other nodes in a second.")
    ] = "50GB",  # type: ignore[assignment]
    routing: Annotated[
        str,
        typer.Option(
            parser=parse_routing, metavar="RULE", help="Which replica a token goes to.", rich_help_panel=PLANNING
        ),
    ] = "even",
    loads_format: FromFormat = None,
    windows: AskedWindows = None,
    experts: AskedExperts = None,
    cost: AskedCost = None,
    gpu: AskedGpu = None,
    dtype: AskedDtype = None,
    tokens: Tokens = None,
    top_k: TopK = None,
    report: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page about the replays.", rich_help_panel=OUTPUT)
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Draw PAR, moves and stall over time.", rich_help_panel=OUTPUT),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object, with the figures of every window.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    """Replay a trace, or a synthetic sample, to compare policies: when to plan again, and how much to move."""
    if recordings and gpus is None:
        raise typer.BadParameter("say how many GPUs the trace is replayed on", param_hint="--gpus")
    options, named = ClusterOptions(gpus, nodes, redundant, slots, dead), ModelOptions(model)
    timing = TimingOptions(cost, gpu, dtype, tokens, top_k)

    from equipoise.cli.options.reports import check_files, this_command
    from equipoise.cli.summaries.simulate import (
        Run,
        policies,
        policies_table,
        print_summary,
        summary,
        times_table,
        what_was_replayed,
    )
    from equipoise.cli.summaries.timing import cost_summary
    from equipoise.cli.summaries.words import counted
    from equipoise.cli.terminal.console import print_json
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.loads import Loads
    from equipoise.migration.costs import Costs
    from equipoise.replay.simulate import compare

    read = {"trace": recordings, "cost": cost, "model": named.file}
    printed = check_files({"--report": report, "--png": png}, read, as_json)
    batches = timing.batches(named.model)
    trace = LoadsOptions(loads_format, named, windows, experts).read_or_sample(recordings)
    cluster = options.cluster(trace.experts, None if recordings else SAMPLE, groups)
    of_cost = batches[0].cost.conditions.expert_bytes if batches else None
    costs = Costs(expert_bytes or of_cost or EXPERT_BYTES, within_nodes, between_nodes)
    asked: dict[str, Any] = {
        "groups": named.groups(groups, cluster) or 1,
        "locality": locality,
        "off_node": off_node,
        "effort": effort,
        "workers": workers,
    }
    compared = policies(max_moves, forecast, interval_seconds, costs)
    with progress_bar("replaying") as progress:
        served: dict[str, Any] = {
            "interval": interval,
            "window": window,
            "costs": costs,
            "batches": batches,
            "routing": routing,
        }
        replays = compare(trace, cluster, compared, **served, progress=progress, **asked)
    run = Run(
        named_recordings(recordings), cluster, asked, interval, window, forecast, interval_seconds, costs, report, png
    )
    tokens_of = [batch.tokens for batch in batches]
    said = {
        "model": model,
        "routing": routing,
        "groups_of_model": model is not None and groups is None,
        "cost": cost_summary(batches, timing.source),
        "tokens": tokens_of,
        "beyond": [number for number in tokens_of if any(one.beyond[number].any() for one in replays.values())],
    }
    found = summary(replays, trace, run) | said
    title = f"Replay of {recordings_in_title(recordings)}, {counted(cluster.gpus, 'GPU')}"
    if report is not None:
        from equipoise.forecasting.forecast import expect
        from equipoise.planning.request import Request
        from equipoise.report.pages.page import Table
        from equipoise.report.pages.simulation import simulation_page

        tables = [Table("The policies", *policies_table(found)), Table("Layer time", *times_table(found))]
        at_the_end = Loads(trace.counts[-window:])
        with progress_bar("looking back") as progress:
            expected = expect(Request.checked(at_the_end, cluster, progress=progress, **asked), forecast)
        simulation_page(replays, tables, expected, title, what_was_replayed(found), this_command()).save(report)
    if png is not None:
        from equipoise.report.figures.policies_over_time import policies_over_time
        from equipoise.report.picture import save_picture

        save_picture(policies_over_time(replays), title, png)
    if as_json:
        print_json(found)
    elif not printed:
        print_summary(found)
