"""The tables, and the same figures as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.verdict import misses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.cases import Case
    from benchmarks.compare import Result
    from benchmarks.scale import Scaled

BALANCE = ("PAR mean", "PAR max", "bound", "gap", "duplicates", "ms")


def comparison_table(found: Sequence[tuple[Case, Sequence[Result]]]) -> Table:
    """Return what every planner reached on every case, and whether Equipoise meets its targets."""
    table = _table(*BALANCE, "vLLM's ms / ms", "targets")
    for case, results in found:
        for row, result in enumerate(results):
            ratio = "" if result.times_vllm is None else f"{result.times_vllm:.1f}"
            table.add_row("" if row else str(case), *_balance(result), ratio, _verdict(case, result, results))
        table.add_section()
    return table


def scale_table(found: Sequence[tuple[Case, Sequence[Scaled]]]) -> Table:
    """Return time and memory on the large cases."""
    table = _table(*BALANCE, "process MiB", "added MiB")
    for case, results in found:
        for row, scaled in enumerate(results):
            memory = f"{scaled.mib:.0f}", f"{scaled.added_mib:.0f}"
            table.add_row("" if row else str(case), *_balance(scaled.result), *memory)
        table.add_section()
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


def scale_json(found: Sequence[tuple[Case, Sequence[Scaled]]]) -> str:
    """Return time and memory on the large cases as JSON."""
    return _json(asdict(case) | {"planners": [asdict(one) for one in results]} for case, results in found)


def show(table: Table) -> None:
    """Print a table at its full width, wherever it goes."""
    Console(width=190).print(table)


def _table(*columns: str) -> Table:
    table = Table()
    for column in (r"loads \[window] slots/GPUs (groups/nodes)", "planner"):
        table.add_column(column, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


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


def _verdict(case: Case, result: Result, results: Sequence[Result]) -> str:
    if not result.planner.startswith("equipoise"):
        return ""
    found = misses(case, result, results)
    return f"[red]MISS {', '.join(found)}[/red]" if found else "[green]ok[/green]"


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), indent=1)
