"""The summary of what setups reach, as tables, as CSV and as JSON, and the advice in one sentence."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from io import StringIO
from itertools import product
from typing import TYPE_CHECKING, Any

from equipoise.cli.summaries.timing import beyond_measured, cost_in_words, print_what_times_are
from equipoise.cli.summaries.words import counted, groups_of_model_in_words, shape_in_words, size_in_words
from equipoise.cli.summaries.written import print_files
from equipoise.cli.terminal.console import print_line, print_pairs, print_table
from equipoise.cluster import in_words
from equipoise.sizing.cell import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from equipoise.loads import Loads
    from equipoise.sizing.recommending import Advice
    from equipoise.sizing.size import Sizing

Titled = tuple[str, tuple[str, ...], list[tuple[str, ...]]]

ALWAYS = ("gpus", "slots_per_gpu")
CALLED = {"gpus": "GPUs", "slots_per_gpu": "slots", "groups": "groups", "routing": "routing"}


@dataclass(frozen=True)
class Run:
    """The files and settings of a run that the cells do not know."""

    recording: str | None
    model: str | None
    groups_of_model: bool
    slots: Sequence[int] | None
    effort: str
    csv: Path | None
    report: Path | None


def summary(found: Sizing, trace: Loads, run: Run, cost: dict[str, Any] | None) -> dict[str, Any]:
    """Return what was asked, every cell, and the advice, in one sentence and in figures."""
    gpus = sorted({cell.gpus for cell in found.cells})
    return {
        "trace": run.recording or "synthetic sample",
        "synthetic": run.recording is None,
        "windows": trace.windows,
        "layers": trace.layers,
        "experts": trace.experts,
        "model": run.model,
        "gpus": gpus,
        "groups": sorted({cell.groups for cell in found.cells}),
        "groups_of_model": bool(run.model) and run.groups_of_model,
        "left_out": _left_out(found.cells, gpus, run.slots or ()),
        "effort": run.effort,
        "cost": cost,
        "cells": [cell.figures() for cell in found.cells],
        "recommended": [[cell.figures() for cell in advice.cells] for advice in found.advice],
        "advice": advice_in_words(found, trace.experts),
        "csv": str(run.csv) if run.csv else None,
        "report": str(run.report) if run.report else None,
    }


def print_summary(summary: dict[str, Any], tables: list[Titled]) -> None:
    """Print the summary for a person."""
    print_pairs(what_was_asked(summary))
    for title, head, rows in tables:
        print_line()
        print_line(f"{title}:")
        print_table(head, rows)
    print_line()
    print_line(summary["advice"])
    print_line()
    if summary["windows"] == 1:
        print_line("PAR and times are of the window that was planned for: there is no other to judge by.")
    else:
        print_line("PAR and times are of windows that came after what was planned for, and means.")
    print_what_times_are(summary["cost"], beyond_measured(summary["cells"]))
    print_line("What GPUs send each other, attention and all else come on top.")
    print_files({summary["csv"]: "table of all", summary["report"]: "report"})


def what_was_asked(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the trace, its shape, the GPUs and the cost by name; a line without one belongs to the last."""
    left_out = [f"{slots} slots on {counted(gpus, 'GPU')}" for gpus, slots in summary["left_out"]]
    return [
        ("trace", summary["trace"] + (", in DeepSeek-V3's shape" if summary["synthetic"] else "")),
        ("", shape_in_words(summary)),
        ("GPUs", ", ".join(map(str, summary["gpus"]))),
        *([("", f"too few or too many for the experts: {', '.join(left_out)}")] if left_out else []),
        ("groups", f"{in_words(summary['groups'])} expert group{'s' * (summary['groups'] != [1])}"),
        *groups_of_model_in_words(summary),
        ("effort", summary["effort"]),
        *cost_in_words(summary["cost"]),
    ]


def tables_of(found: Sizing, windows: int) -> list[Titled]:
    """Return what each choice reaches, a row for each, under titles: PAR and memory, layer times, and tokens served.

    What is advised has an asterisk.

    windows: of the trace; one alone judges itself.
    """
    advised = {cell for advice in found.advice for cell in advice.cells}
    rows: dict[tuple[str, ...], list[Cell]] = {}
    names = _names(found.cells)
    for cell in found.cells:
        rows.setdefault(tuple(str(getattr(cell, name)) for name in names), []).append(cell)

    def columns(form: Callable[[Cell], str]) -> list[tuple[str, ...]]:
        return [(*row, *(form(one) + " *"[one in advised] for one in cells)) for row, cells in rows.items()]

    traffic = "window that was planned for" if windows == 1 else "traffic to come"
    head = tuple(CALLED[name] for name in names)
    at = tuple(f"at {tokens}" for tokens in dict.fromkeys(cell.tokens for cell in found.cells))
    reached = [(*row, f"{cells[-1].par:.4f}", _memory(cells[0])) for row, cells in rows.items()]
    return [
        (f"PAR of the {traffic}, and memory of a GPU's experts", (*head, "PAR", "memory"), reached),
        ("Microseconds of a layer, by the tokens of a GPU", (*head, *at), columns(lambda one: f"{one.layer_time:.1f}")),
        ("Tokens a second and GPU", (*head, *at), columns(lambda one: f"{one.tokens_per_second:,.0f}")),
    ]


def as_csv(cells: Sequence[Cell]) -> str:
    """Return a row for each cell under the names of its figures."""
    text = StringIO()
    writer = csv.DictWriter(text, [column.name for column in fields(Cell)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(cell.figures() for cell in cells)
    return text.getvalue()


def advice_in_words(found: Sizing, experts: int) -> str:
    """Return which slots to have, for batches of which size, and why, in one sentence."""
    last = len(found.advice) - 1
    parts = [
        f"{_where(advice, at == 0, at == last)}, {_what(advice, found.cells, experts)}"
        for at, advice in enumerate(found.advice)
    ]
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _where(advice: Advice, is_first: bool, is_last: bool) -> str:
    least, most = advice.cells[0].tokens, advice.cells[-1].tokens
    if least == most:
        return f"at {counted(least, 'token')} a GPU"
    if is_first == is_last:
        return f"from {least} to {most} tokens a GPU"
    return f"up to {most} tokens a GPU" if is_first else f"from {least} tokens a GPU on"


def _what(advice: Advice, cells: Sequence[Cell], experts: int) -> str:
    """Return the choice, its time, and what other slots would take."""
    cell = advice.cells[0]
    redundant = cell.gpus * cell.slots_per_gpu - experts
    slots = f"{_name(cell, cells)}, {counted(redundant, 'redundant expert') if redundant else 'no redundancy'}"
    reasons = [f"{cell.layer_time:.0f} µs a layer{_why(cell, advice.others[0])}"]
    if len(advice.cells) > 1:
        last = advice.cells[-1]
        reasons.append(f"{last.layer_time:.0f} µs at {last.tokens}{_why(last, advice.others[-1])}")
    return f"{slots}: {', '.join(reasons)}"


def _why(cell: Cell, other: Cell | None) -> str:
    if other is None:
        return ""
    more = other.layer_time / cell.layer_time - 1
    if more < 0:
        return f" ({counted(other.slots_per_gpu, 'slot')} save {-more:.1%}, less than the cost can tell)"
    return f" ({counted(other.slots_per_gpu, 'slot')} cost {more:.1%} more)"


def _name(cell: Cell, cells: Sequence[Cell]) -> str:
    """Return ``"32 GPUs, 9 slots each"``; groups and routing only where these cells differ by them."""
    names = _names(cells)
    parts = [counted(cell.gpus, "GPU"), f"{counted(cell.slots_per_gpu, 'slot')} each"]
    parts += [counted(cell.groups, "group")] if "groups" in names else []
    return ", ".join([*parts, *([cell.routing] if "routing" in names else [])])


def _names(cells: Sequence[Cell]) -> list[str]:
    """Return by what a choice is known: GPUs and slots, and whatever else these cells differ by."""
    return [name for name in CALLED if name in ALWAYS or len({getattr(cell, name) for cell in cells}) > 1]


def _memory(cell: Cell) -> str:
    return "not known" if cell.memory is None else size_in_words(cell.memory)


def _left_out(cells: Sequence[Cell], gpus: Sequence[int], slots: Sequence[int]) -> list[tuple[int, int]]:
    """Return GPUs and slots that were asked about and do not hold the experts."""
    found = {(cell.gpus, cell.slots_per_gpu) for cell in cells}
    return [pair for pair in product(gpus, slots) if pair not in found]
