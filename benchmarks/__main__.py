"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_args

import typer
from rich.console import Console
from rich.progress import track

from benchmarks.ahead import plan_ahead
from benchmarks.beside import time_waits
from benchmarks.cold import cold_start
from benchmarks.compare import compare
from benchmarks.engines import HOW_TO_GET as HOW_TO_GET_VLLM
from benchmarks.engines import call, called_of, import_vllm
from benchmarks.filled import fill_ahead
from benchmarks.layer_time import choose_slots, foretell, read_timings
from benchmarks.loads import RECORDED, cases_of, counts_of, read_counts
from benchmarks.peers import HOW_TO_GET, load_peers
from benchmarks.planner import Equipoise
from benchmarks.replanning import replan
from benchmarks.replanning_cases import replannings_of
from benchmarks.report import (
    ahead_json,
    ahead_table,
    beside_json,
    beside_table,
    chosen_table,
    cold_table,
    comparison_json,
    comparison_table,
    engines_json,
    engines_table,
    filled_json,
    filled_table,
    foretold_table,
    kernels_table,
    recorded_json,
    recorded_table,
    replanning_json,
    replanning_table,
    routed_table,
    router_json,
    scale_json,
    scale_table,
    served_json,
    served_table,
    show,
    time_json,
    windows_json,
    windows_table,
)
from benchmarks.scale import scale
from benchmarks.series import SERIES
from benchmarks.windows import time_windows
from equipoise import InputError, sample_loads
from equipoise.planning.effort import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.table import Table

RECORDED_HERE = RECORDED if RECORDED.is_dir() else None
EFFORTS = get_args(Effort)
AnyCase = TypeVar("AnyCase")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _check_efforts(efforts: list[str]) -> list[str]:
    for effort in efforts:
        if effort not in EFFORTS:
            raise typer.BadParameter(f"{effort!r} is no effort; use {', '.join(EFFORTS)}")
    return efforts


Peers = Annotated[
    Path | None, typer.Option(help="Folder that holds vLLM and SGLang; without it, how to get them is said.")
]
RecordedLoads = Annotated[
    Path | None, typer.Option("--loads", help="Folder of recorded loads; without any, the synthetic sample is used.")
]
Efforts = Annotated[
    list[str],
    typer.Option("--effort", callback=_check_efforts, help=f"{', '.join(EFFORTS)}; may be repeated."),
]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds in which the planners take turns.")]
Only = Annotated[str, typer.Option(help="Run only the cases whose line in the table contains this.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    peers: Peers = None,
    loads: RecordedLoads = RECORDED_HERE,
    effort: Efforts = ["default"],  # noqa: B006  # Typer's way to give a list's default
    rounds: Rounds = 7,
    only: Only = "",
    as_json: AsJson = False,
) -> None:
    """Equipoise beside vLLM's and SGLang's own planners, on the same loads in one process."""
    if context.invoked_subcommand:
        return
    planners = [*(load_peers(peers) if peers else []), *map(Equipoise, cast("list[Effort]", effort))]
    cases = _chosen(cases_of(loads), only)
    found = [(case, compare(case, counts_of(case, loads), planners, rounds)) for case in cases]
    _print(comparison_json if as_json else comparison_table, found)
    _say_how_to_get(peers)


@app.command("replan")
def replan_command(
    peers: Peers = None,
    loads: RecordedLoads = RECORDED_HERE,
    effort: Efforts = ["default"],  # noqa: B006
    rounds: Rounds = 7,
    only: Only = "",
    as_json: AsJson = False,
) -> None:
    """From a live placement, with few moves or a dead GPU, and soft locality: beside vLLM's planner."""
    beside_vllm = peers is not None and bool(load_peers(peers))
    efforts = cast("list[Effort]", effort)
    cases = _chosen(replannings_of(loads, beside_vllm), only)
    found = [(case, replan(case, loads, beside_vllm, efforts, rounds)) for case in cases]
    _print(replanning_json if as_json else replanning_table, found)
    _say_how_to_get(peers)


@app.command("ahead")
def ahead_command(
    peers: Peers = None,
    loads: RecordedLoads = RECORDED_HERE,
    effort: Efforts = ["default"],  # noqa: B006
    only: Only = "",
    as_json: AsJson = False,
) -> None:
    """Plan on past windows, judged by those that came next: recorded loads alone have any."""
    if loads is None:
        raise InputError("planning ahead needs recorded loads; name their folder with --loads")
    beside_peers = peers is not None and bool(load_peers(peers))
    efforts = cast("list[Effort]", effort)
    found = [(series, plan_ahead(series, loads, beside_peers, efforts)) for series in _chosen(list(SERIES), only)]
    _print(ahead_json if as_json else ahead_table, found)
    _say_how_to_get(peers)


@app.command("filled")
def filled_command(
    peers: Peers = None, loads: RecordedLoads = RECORDED_HERE, only: Only = "", as_json: AsJson = False
) -> None:
    """Plan on past windows, served by filling: own picks and all picks of the windows that came next."""
    if loads is None:
        raise InputError("planning ahead needs recorded loads; name their folder with --loads")
    beside_peers = peers is not None and bool(load_peers(peers))
    found = [(series, fill_ahead(series, loads, beside_peers)) for series in _chosen(list(SERIES), only)]
    _print(filled_json if as_json else filled_table, found)
    _say_how_to_get(peers)


@app.command("router")
def router_command(loads: RecordedLoads = RECORDED_HERE, as_json: AsJson = False) -> None:
    """Route batches by filling, beside vLLM's hash; on a GPU, check and time the kernels too."""
    from benchmarks.router import route_batches
    from benchmarks.router_on_gpu import time_kernels

    counts = read_counts(loads, "deepseek_v3_sglang_ep") if loads else sample_loads().counts.astype(int)
    routed, timed = route_batches(counts), time_kernels()
    if as_json:
        typer.echo(router_json(routed, timed))
        return
    show(routed_table(routed))
    if timed:
        show(kernels_table(timed))
    else:
        typer.echo("No GPU here: the kernels were not timed.")


@app.command("serve")
def serve_command(as_json: AsJson = False) -> None:
    """Serve drifting traffic by four processes, whose experts move under several policies."""
    from benchmarks.serve import serve

    _print(served_json if as_json else served_table, serve())


@app.command("record")
def record_command(rounds: Rounds = 7, as_json: AsJson = False) -> None:
    """Forward passes of a model with and without a recording, in turns."""
    from benchmarks.record import time_recording

    _print(recorded_json if as_json else recorded_table, [time_recording(rounds)])


@app.command("windows")
def windows_command(
    loads: RecordedLoads = RECORDED_HERE,
    effort: Efforts = ["fast", "default"],  # noqa: B006
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Plan for one, two, ... sixteen windows at once: how long it takes for all layers of DeepSeek-V3."""
    if loads is None:
        raise InputError("the windows are recorded loads; name their folder with --loads")
    _print(windows_json if as_json else windows_table, time_windows(loads, cast("list[Effort]", effort), rounds))


@app.command("beside")
def beside_command(
    earlier: Annotated[Path, typer.Argument(metavar="FOLDER", help="Checkout of an earlier version.")],
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Time what users wait for, beside an earlier version, in turns and in processes of their own."""
    _print(beside_json if as_json else beside_table, time_waits(earlier, rounds))


@app.command("time")
def time_command(
    measured: Annotated[Path, typer.Option(help="Folder of measured times.")],
    as_json: AsJson = False,
) -> None:
    """Foretell times of GPUs that were measured, and choose slots by them."""
    timings = read_timings(measured, "timings")
    foretold, chosen = foretell(timings, read_timings(measured, "spares")), choose_slots(timings)
    if as_json:
        typer.echo(time_json(foretold, chosen))
    else:
        show(foretold_table(foretold))
        show(chosen_table(chosen))


@app.command("engines")
def engines_command(
    peers: Peers = None,
    loads: RecordedLoads = RECORDED_HERE,
    rounds: Rounds = 7,
    only: Only = "",
    as_json: AsJson = False,
) -> None:
    """Plug-in for vLLM beside vLLM's default policy: the same inputs, through vLLM's own call."""
    if peers is None:
        raise InputError(f"vLLM's own call needs vLLM. To get it:\n{HOW_TO_GET_VLLM}")
    import_vllm(peers)
    found = [(case, call(case, loads, rounds)) for case in _chosen(called_of(loads), only)]
    _print(engines_json if as_json else engines_table, found)


@app.command("scale")
def scale_command(
    peers: Peers = None,
    effort: Efforts = ["default"],  # noqa: B006
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Large clusters: time and peak memory beside vLLM's, each in a process of its own."""
    found = scale(peers, cast("list[Effort]", effort), rounds)
    _print(scale_json if as_json else scale_table, found)
    _say_how_to_get(peers)


@app.command("cold")
def cold_command(as_json: AsJson = False) -> None:
    """Cold start: seconds of an import and of a first plan, from process start."""
    found = cold_start()
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        show(cold_table(found))


def _chosen(cases: list[AnyCase], only: str) -> Iterable[AnyCase]:
    """Return the cases whose line contains ``only``, and show how far they have come."""
    chosen = [case for case in cases if only in str(case)]
    if not chosen:
        raise InputError(f"no case contains {only!r}; run without --only to see them all")
    return track(chosen, "Comparing", console=Console(stderr=True), transient=True)


def _print(told: Callable[[Sequence[Any]], str | Table], found: Sequence[Any]) -> None:
    """Print what was found, as it is told: JSON or a table."""
    text = told(found)
    if isinstance(text, str):
        typer.echo(text)
    else:
        show(text)


def _say_how_to_get(peers: Path | None) -> None:
    if peers is None:
        typer.echo(f"Without the peers. To get them:\n{HOW_TO_GET}", err=True)


if __name__ == "__main__":
    try:
        app()
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None
