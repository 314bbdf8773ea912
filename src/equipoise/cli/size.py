"""``equipoise size``: how many slots to have, over how many GPUs."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equipoise.cli.options.formats import FromFormat  # noqa: TC001
from equipoise.cli.options.loads import (
    AskedExperts,
    AskedWindows,
    LoadsOptions,
    named_recordings,
    recordings_in_title,
)
from equipoise.cli.options.model import AskedModel, ModelOptions
from equipoise.cli.options.panels import CLUSTER, OUTPUT, PLANNING
from equipoise.cli.options.planning import AskedEffort  # noqa: TC001
from equipoise.cli.options.routing import parse_routing
from equipoise.cli.options.timing import AskedCost, AskedDtype, AskedGpu, TimingOptions, Tokens, TopK
from equipoise.cli.options.values import Counts, parse_counts, parse_size

if TYPE_CHECKING:
    from equipoise.sizing.size import Sizing

SAMPLE_GPUS, SAMPLE_GPUS_PER_NODE = Counts((16, 32, 64)), 8
SAMPLE_MODEL, SAMPLE_GPU = "deepseek-v3", "H100"


def _counts(what: str, text: str) -> Any:
    return typer.Option(parser=parse_counts, metavar=what, help=text, show_default=False)


def size(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TRACE...",
            help="Recorded loads, window by window; without, a synthetic sample in DeepSeek-V3's shape, on H100s.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[Counts | None, _counts("GPUS", "Numbers of GPUs, with commas; needed with TRACE.")] = None,
    slots: Annotated[
        Counts | None,
        _counts("SLOTS", "Slots of a GPU, with commas; otherwise the fewest that hold the experts, and 1 and 2 more."),
    ] = None,
    gpus_per_node: Annotated[
        int | None,
        typer.Option(
            min=1, help="GPUs of a node; otherwise all are on one.", show_default=False, rich_help_panel=CLUSTER
        ),
    ] = None,
    groups: Annotated[
        Counts | None,
        _counts("GROUPS", "Expert groups, each kept on a node, with commas; otherwise as --model has them, or 1."),
    ] = None,
    routing: Annotated[
        list[str],
        typer.Option(
            parser=parse_routing,
            metavar="RULE",
            help="Which replica a token goes to; may be repeated.",
            rich_help_panel=PLANNING,
        ),
    ] = ["even"],  # noqa: B006 - Typer changes nothing
    model: AskedModel = None,
    cost: AskedCost = None,
    gpu: AskedGpu = None,
    dtype: AskedDtype = None,
    tokens: Tokens = None,
    top_k: TopK = None,
    expert_bytes: Annotated[
        int | None,
        typer.Option(
            parser=parse_size,
            metavar="SIZE",
            help="Weights of an expert of one layer; otherwise by the size of those that the cost is for.",
            show_default=False,
        ),
    ] = None,
    effort: AskedEffort = "default",
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster to work on, instead of this machine.", show_default=False),
    ] = None,
    loads_format: FromFormat = None,
    windows: AskedWindows = None,
    experts: AskedExperts = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT.csv", help="Write all figures to this file.", rich_help_panel=OUTPUT)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page with the curves.", rich_help_panel=OUTPUT)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Say how many slots to have, over how many GPUs: PAR of the traffic to come, layer time and memory."""
    if not recordings:
        gpus, gpus_per_node = gpus or SAMPLE_GPUS, gpus_per_node or SAMPLE_GPUS_PER_NODE
        gpu = gpu if gpu or cost else SAMPLE_GPU
    elif gpus is None:
        raise typer.BadParameter("say which numbers of GPUs are in question", param_hint="--gpus")
    timing, named = TimingOptions(cost, gpu, dtype, tokens, top_k), ModelOptions(model)
    if not timing.is_asked:
        raise typer.BadParameter("say what experts take, or which GPU and --model it is", param_hint="--cost")
    whose = named if recordings else ModelOptions(model or SAMPLE_MODEL)

    from equipoise.cli.options.reports import check_files, this_command
    from equipoise.cli.summaries.size import Run, as_csv, print_summary, summary, tables_of, what_was_asked
    from equipoise.cli.summaries.timing import cost_summary
    from equipoise.cli.terminal.console import print_json
    from equipoise.formats.files.atomic import write_whole
    from equipoise.sizing.setup import setups_of

    read = {"trace": recordings, "cost": cost, "model": named.file}
    printed = check_files({"--csv": csv, "--report": report}, read, as_json)
    batches = timing.batches(whose.model)
    trace = LoadsOptions(loads_format, named, windows, experts).read_or_sample(recordings)
    whose.check_experts(trace.experts)
    tied = groups or ((named.model.groups,) if named.model else (1,))
    setups = setups_of(trace.experts, gpus or (), slots, gpus_per_node, tied)
    expert_bytes = expert_bytes or batches[0].cost.conditions.expert_bytes
    asked: dict[str, Any] = {"routings": routing, "expert_bytes": expert_bytes, "effort": effort, "ray": ray}
    found = _judged(trace, setups, batches, asked)
    run = Run(named_recordings(recordings), model, groups is None, slots, effort, csv, report)
    tables = tables_of(found, trace.windows)
    told = summary(found, trace, run, cost_summary(batches, timing.source))
    if csv is not None:
        write_whole(csv, as_csv(found.cells))
    if report is not None:
        from equipoise.report.pages.sizing import sizing_page

        title = f"GPUs and slots for {recordings_in_title(recordings)}"
        sizing_page(found, tables, told["advice"], title, what_was_asked(told), this_command()).save(report)
    if as_json:
        print_json(told)
    elif not printed:
        print_summary(told, tables)


def _judged(trace: Any, setups: list[Any], batches: list[Any], asked: dict[str, Any]) -> Sizing:
    """Return what every setup would have reached; where it is stopped, what is done is kept."""
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.sizing.kept import kept_folder
    from equipoise.sizing.size import size as judge_sizes

    done = 0

    def count(judged: int, of: int) -> None:
        nonlocal done
        done = judged
        show(judged, of)

    try:
        with progress_bar("judging") as show:
            return judge_sizes(trace, setups, batches, **asked, kept=kept_folder(), progress=count)
    except KeyboardInterrupt:
        typer.echo(
            f"Stopped: {done} of {len(setups)} setups are kept, and the same command goes on from them.", err=True
        )
        raise
