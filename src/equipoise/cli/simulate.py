"""``equipoise simulate``: a trace replayed under several policies."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from equipoise.cli.options.values import parse_moves, parse_size
from equipoise.forecasting.forecast import Method  # noqa: TC001

if TYPE_CHECKING:
    from equipoise.replay.simulate import Replay


def simulate(
    recording: Annotated[
        Path | None,
        typer.Argument(
            metavar="TRACE",
            help="Recorded loads, window by window, a file or an engine's folder of them; without, a synthetic sample.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs in all; needed with TRACE.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes they are in; otherwise 1.")] = None,
    redundant: Annotated[
        int | None, typer.Option(min=0, help="Slots of a layer beyond one for each expert; otherwise 0.")
    ] = None,
    groups: Annotated[int, typer.Option(min=1, help="Expert groups, each kept on a node.")] = 1,
    interval: Annotated[int, typer.Option(min=1, help="Windows served between two decisions.")] = 1,
    window: Annotated[int, typer.Option(min=1, help="Windows of the past that a decision looks at.")] = 8,
    max_moves: Annotated[
        list[float],
        typer.Option(
            parser=parse_moves,
            metavar="MOVES",
            help="Moves of a decision at most: a number, or 5% of the slots; may be repeated, each is a policy.",
        ),
    ] = ["5%"],  # type: ignore[list-item]  # noqa: B006 - Typer parses the default too, and changes nothing
    forecast: Annotated[
        Method,
        typer.Option(
            metavar="METHOD",
            help="How to tell from the past what comes: auto, by backtest; windows, recent, last, sum, average-1, "
            "average-4, deviation or factors.",
        ),
    ] = "auto",
    interval_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Move only what saves more time than it takes, if experts run for so long between two decisions.",
        ),
    ] = None,
    expert_bytes: Annotated[
        int, typer.Option(parser=parse_size, metavar="SIZE", help="Weights of an expert of one layer.")
    ] = "44MB",  # type: ignore[assignment]
    within_nodes: Annotated[
        int, typer.Option(parser=parse_size, metavar="SIZE", help="What a GPU sends within its node in a second.")
    ] = "400GB",  # type: ignore[assignment]
    between_nodes: Annotated[
        int, typer.Option(parser=parse_size, metavar="SIZE", help="What a GPU sends to other nodes in a second.")
    ] = "50GB",  # type: ignore[assignment]
    report: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Write a page about the replays.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw PAR, moves and stall over time.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with the figures of every window.")
    ] = False,
) -> None:
    """Replay a trace, or a synthetic sample, and compare policies: when to plan again, and how much to move."""
    if recording is not None and gpus is None:
        raise typer.BadParameter("say how many GPUs the trace is replayed on", param_hint="--gpus")

    from equipoise.cli.options.cluster import SAMPLE, ClusterOptions
    from equipoise.cli.options.reports import check_report_files, this_command
    from equipoise.cli.summaries.simulate import (
        Run,
        policies,
        policies_table,
        print_summary,
        summary,
        what_was_replayed,
    )
    from equipoise.cli.summaries.words import counted
    from equipoise.cli.terminal.console import print_json
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.formats import read_loads
    from equipoise.loads import Loads
    from equipoise.migration.costs import Costs
    from equipoise.replay.simulate import simulate as replay
    from equipoise.synthetic.sample import sample_loads

    check_report_files(report, png, {"trace": recording})
    trace = read_loads(recording) if recording else sample_loads()
    options = ClusterOptions(gpus, nodes, redundant, slots=None, dead=None)
    cluster = options.cluster(trace.experts, None if recording else SAMPLE)
    costs = Costs(expert_bytes, within_nodes, between_nodes)
    compared = policies(max_moves, forecast, interval_seconds, costs)
    replays: dict[str, Replay] = {}
    with progress_bar("replaying") as progress:
        for name, policy in compared.items():
            replays[name] = replay(
                trace,
                cluster,
                policy,
                groups=groups,
                interval=interval,
                window=window,
                costs=costs,
                progress=lambda done, total: progress(len(replays) * total + done, len(compared) * total),
            )
    run = Run(recording, cluster, groups, interval, window, forecast, interval_seconds, costs, report, png)
    found = summary(replays, trace, run)
    title = f"Replay of {recording.name if recording else 'the synthetic sample'}, {counted(cluster.gpus, 'GPU')}"
    if report is not None:
        from equipoise.forecasting.forecast import forecast as expect
        from equipoise.report.pages.page import Table
        from equipoise.report.pages.simulation import simulation_page

        table = Table("The policies", *policies_table(found))
        with progress_bar("looking back") as progress:
            expected = expect(Loads(trace.counts[-window:]), cluster, forecast, groups=groups, progress=progress)
        page = simulation_page(replays, compared, table, expected, title, what_was_replayed(found), this_command())
        page.save(report)
    if png is not None:
        from equipoise.report.figures.policies_over_time import policies_over_time
        from equipoise.report.picture import save_picture

        save_picture(policies_over_time(replays), title, png)
    if as_json:
        print_json(found)
    else:
        print_summary(found)
