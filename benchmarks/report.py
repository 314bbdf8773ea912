"""The tables, and the same figures as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.verdict import (
    ahead_misses,
    choice_misses,
    filled_misses,
    foretold_misses,
    misses,
    replanning_misses,
)
from equipoise.forecasting.forecast import AUTO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.ahead import Ahead
    from benchmarks.beside import Waited
    from benchmarks.cases import Case
    from benchmarks.compare import Result
    from benchmarks.engines import Called
    from benchmarks.filled import Filled
    from benchmarks.layer_time import Chosen, Foretold
    from benchmarks.record import Recorded
    from benchmarks.replanning import Replanned
    from benchmarks.replanning_cases import Replanning
    from benchmarks.router import Routed
    from benchmarks.router_on_gpu import Timed
    from benchmarks.scale import Scaled
    from benchmarks.series import Series
    from benchmarks.serve import Served
    from benchmarks.windows import Windowed

BALANCE = ("PAR mean", "PAR max", "bound", "gap", "duplicates", "ms")


def comparison_table(found: Sequence[tuple[Case, Sequence[Result]]]) -> Table:
    """Return what every planner reached on every case, and whether Equipoise meets its targets."""
    table = _table(*BALANCE, "vLLM's ms / ms", "targets")
    for case, results in found:
        _add_case(
            table,
            case,
            [(*_balance(one), _ratio(one), _in_words(one.planner, misses(case, one, results))) for one in results],
        )
    return table


def replanning_table(found: Sequence[tuple[Replanning, Sequence[Replanned]]]) -> Table:
    """Return what every planner reached from what is live, at which cost, and whether Equipoise meets its targets."""
    table = _table("allowed", *BALANCE, "moved", "required", "off node", "vLLM's ms / ms", "targets")
    for replanning, results in found:
        _add_case(table, replanning, [_replanned(replanning, one, results) for one in results])
    return table


def ahead_table(found: Sequence[tuple[Series, Sequence[Ahead]]]) -> Table:
    """Return the PAR of every planner on the windows that came after those it planned on."""
    table = _table("earlier plans", "later plans", "all", "ms a layer", "targets")
    for series, results in found:
        rows = [(*_ahead(one), _ahead_in_words(series, one, results)) for one in results]
        _add_case(table, series, rows)
    return table


def filled_table(found: Sequence[tuple[Series, Sequence[Filled]]]) -> Table:
    """Return the PAR of every planner's plans, evenly shared and filled, on the windows that came next."""
    table = _table("even", "512 own picks", "8,192 own picks", "all picks", "targets")
    for series, results in found:
        _add_case(
            table, series, [(*_filled(one), _in_words(one.planner, filled_misses(series, one))) for one in results]
        )
    return table


def _filled(one: Filled) -> tuple[str, ...]:
    return one.planner, *(f"{par:.4f}" for par in (one.even, one.few, one.many, one.every))


def routed_table(found: Sequence[Routed]) -> Table:
    """Return what each way of routing makes of the same batches."""
    table = Table("picks of a GPU", "routing", "PAR together", "stay on the GPU", "leave the node")
    for one in found:
        table.add_row(f"{one.picks:,}", one.way, f"{one.par:.4f}", f"{one.kept:.2%}", f"{one.leaving:.2%}")
    return table


def kernels_table(found: Sequence[Timed]) -> Table:
    """Return what the router's kernels take, and whether they are right and meet their targets."""
    table = Table("slots/GPUs", "picks", "look-up, us", "fill, us", "target", "as the reference")
    for one in found:
        told = "yes" if one.same else "NO"
        times = (
            f"{one.look_up:.1f}",
            f"{one.fill:.1f}",
            f"{one.target:.1f}{'' if one.fill <= one.target else ', missed'}",
        )
        table.add_row(f"{one.slots}/{one.gpus}", f"{one.picks:,}", *times, told)
    return table


def served_table(found: Sequence[Served]) -> Table:
    """Return what each policy makes of the same traffic in four processes."""
    table = Table("policy", "PAR of tokens served", "MiB sent", "steps stalled", "plans")
    for one in found:
        table.add_row(one.policy, f"{one.par:.4f}", f"{one.mebibytes:.2f}", str(one.stalled), str(one.plans))
    return table


def recorded_table(found: Sequence[Recorded]) -> Table:
    """Return what a forward pass takes with and without a recording."""
    table = Table("device", "tokens", "layers x experts", "alone, ms", "recorded, ms", "overhead")
    for one in found:
        times = f"{one.alone:.1f}", f"{one.recorded:.1f}", f"{one.overhead:.2%}"
        table.add_row(one.device, f"{one.tokens:,}", f"{one.layers} x {one.experts}", *times)
    return table


def windows_table(found: Sequence[Windowed]) -> Table:
    """Return how long planning for several windows takes."""
    table = Table("effort", "windows", "ms", "PAR")
    for one in found:
        table.add_row(one.effort, str(one.windows), f"{one.ms:.1f}", f"{one.par:.4f}")
    return table


def beside_table(found: Sequence[Waited]) -> Table:
    """Return how long users of each version wait."""
    table = Table("what is waited for", "version", "ms", "PAR", "ms / this version's")
    for one in found:
        table.add_row(one.wait, one.version, f"{one.ms:.0f}", f"{one.par:.4f}", f"{one.times_this:.2f}")
    return table


def foretold_table(found: Sequence[Foretold]) -> Table:
    """Return how far costs are off on traffic that they were not fitted on, and whether ours meets its targets."""
    table = Table("cost", "tested on", "each GPU", "slowest GPU", "with the residual", "with the scatter", "targets")
    for one in found:
        errors = (one.gpu, one.slowest, one.with_residual, one.with_scatter)
        table.add_row(
            one.cost, one.tested, *(f"{error:.2%}" for error in errors), _in_words(one.cost, foretold_misses(one))
        )
    return table


def chosen_table(found: Sequence[Chosen]) -> Table:
    """Return what was chosen by expected time, beside what was measured to be best."""
    table = Table("traffic", "tokens a GPU", "chosen", "best", "over the best")
    for one in found:
        chosen, best = f"{one.slots} {one.routing}", f"{one.best_slots} {one.best_routing}"
        table.add_row(one.traffic, str(one.tokens_per_gpu), chosen, best, f"{one.over_best:.1%}")
    table.caption = f"targets: {_in_words('equipoise', choice_misses(found))}"
    return table


def engines_table(found: Sequence[tuple[Case, Sequence[Called]]]) -> Table:
    """Return what vLLM's call came to with each policy, and the moves that vLLM schedules for it."""
    table = _table("PAR mean", "PAR max", "duplicates", "ms", "moves", "moved", "batches", "vLLM's ms / ms")
    for case, results in found:
        _add_case(table, case, [_called(one) for one in results])
    return table


def scale_table(found: Sequence[tuple[Case, Sequence[Scaled]]]) -> Table:
    """Return time and memory on the large cases."""
    table = _table(*BALANCE, "process MiB", "added MiB")
    for case, results in found:
        _add_case(table, case, [(*_balance(one.result), f"{one.mib:.0f}", f"{one.added_mib:.0f}") for one in results])
    return table


def cold_table(seconds: dict[str, float]) -> Table:
    """Return the seconds from process start."""
    table = Table("in a new process", "seconds")
    for what, duration in seconds.items():
        table.add_row(what, f"{duration:.2f}")
    return table


def comparison_json(found: Sequence[tuple[Case, Sequence[Result]]]) -> str:
    """Return the comparison as JSON: a list of cases, each with its planners and the targets they miss."""
    return _json(
        asdict(case) | {"planners": [asdict(one) | {"misses": misses(case, one, results)} for one in results]}
        for case, results in found
    )


def replanning_json(found: Sequence[tuple[Replanning, Sequence[Replanned]]]) -> str:
    """Return the same as JSON: a list of cases, each with its planners and the targets they miss."""
    return _json(
        asdict(replanning.case)
        | {"live": replanning.live}
        | {"planners": [asdict(one) | {"misses": replanning_misses(replanning, one, results)} for one in results]}
        for replanning, results in found
    )


def ahead_json(found: Sequence[tuple[Series, Sequence[Ahead]]]) -> str:
    """Return the same as JSON: a list of series, each with its planners."""
    return _json(
        asdict(series) | {"planners": [asdict(one) | {"misses": ahead_misses(series, one, results)} for one in results]}
        for series, results in found
    )


def filled_json(found: Sequence[tuple[Series, Sequence[Filled]]]) -> str:
    """Return the same as JSON: a list of series, each with its planners."""
    return _json(
        asdict(series) | {"planners": [asdict(one) | {"misses": filled_misses(series, one)} for one in results]}
        for series, results in found
    )


def router_json(routed: Sequence[Routed], timed: Sequence[Timed]) -> str:
    """Return both as JSON: what is routed, and the kernels' times."""
    return json.dumps({"routed": [asdict(one) for one in routed], "kernels": [asdict(one) for one in timed]}, indent=2)


def served_json(found: Sequence[Served]) -> str:
    """Return the same as JSON: a list of policies."""
    return _json(asdict(one) for one in found)


def recorded_json(found: Sequence[Recorded]) -> str:
    """Return the same as JSON."""
    return _json(asdict(one) for one in found)


def windows_json(found: Sequence[Windowed]) -> str:
    """Return the same as JSON: a list with a line for each effort and number of windows."""
    return _json(asdict(one) for one in found)


def beside_json(found: Sequence[Waited]) -> str:
    """Return the same as JSON: a list with a line for each wait and version."""
    return _json(asdict(one) for one in found)


def time_json(foretold: Sequence[Foretold], chosen: Sequence[Chosen]) -> str:
    """Return both as JSON: the errors of every cost, and what was chosen for every traffic and batch."""
    return json.dumps(
        {"foretold": [asdict(one) for one in foretold], "chosen": [asdict(one) for one in chosen]}, indent=1
    )


def engines_json(found: Sequence[tuple[Case, Sequence[Called]]]) -> str:
    """Return the same as JSON: a list of cases, each with its policies."""
    return _json(asdict(case) | {"planners": [asdict(one) for one in results]} for case, results in found)


def scale_json(found: Sequence[tuple[Case, Sequence[Scaled]]]) -> str:
    """Return time and memory on the large cases as JSON."""
    return _json(asdict(case) | {"planners": [asdict(one) for one in results]} for case, results in found)


def show(table: Table) -> None:
    """Print a table at its full width, wherever it goes."""
    Console(width=280).print(table)


def _table(*columns: str) -> Table:
    table = Table()
    for column in (r"loads \[window] slots/GPUs (groups/nodes)", "planner"):
        table.add_column(column, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _ahead(one: Ahead) -> tuple[str, ...]:
    return one.planner, *(f"{par:.4f}" for par in (one.earlier, one.later, one.par)), f"{one.ms_per_layer:.2f}"


def _ahead_in_words(series: Series, one: Ahead, results: Sequence[Ahead]) -> str:
    has_targets = one.planner.endswith(AUTO)
    return _in_words(one.planner, ahead_misses(series, one, results)) if has_targets else ""


def _add_case(table: Table, case: Case | Replanning | Series, rows: Iterable[tuple[str, ...]]) -> None:
    """Add the rows of a case, which is named in the first."""
    for row, cells in enumerate(rows):
        table.add_row("" if row else str(case), *cells)
    table.add_section()


def _replanned(replanning: Replanning, one: Replanned, results: Sequence[Replanned]) -> tuple[str, ...]:
    planner, *reached = _balance(one.result)
    return (
        planner,
        str(one.ask.limits) if one.ask else "",
        *reached,
        *("" if share is None else f"{share:.2%}" for share in (one.moved, one.required, one.off_node)),
        _ratio(one.result),
        _in_words(one.result.planner, replanning_misses(replanning, one, results)),
    )


def _called(one: Called) -> tuple[str, ...]:
    planner, par_mean, par_max, _bound, _gap, duplicates, ms = _balance(one.result)
    moves = str(one.moves), f"{one.moved:.2%}", str(one.batches)
    return planner, par_mean, par_max, duplicates, ms, *moves, _ratio(one.result)


def _balance(result: Result) -> tuple[str, ...]:
    return (
        result.planner,
        f"{result.par_mean:.5f}",
        f"{result.par_max:.5f}",
        "" if result.bound is None else f"{result.bound:.5f}",
        "" if result.gap is None else f"{result.gap:.3%}",
        str(result.duplicates),
        f"{result.ms:.1f}",
    )


def _ratio(result: Result) -> str:
    return "" if result.times_vllm is None else f"{result.times_vllm:.1f}"


def _in_words(planner: str, found: list[str]) -> str:
    if not planner.startswith("equipoise"):
        return ""
    return f"[red]MISS {', '.join(found)}[/red]" if found else "[green]ok[/green]"


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), indent=1)
