"""The summary of a measured cost, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from equipoise.cli.summaries.words import counted
from equipoise.cli.summaries.written import print_files
from equipoise.cli.terminal.console import print_line, print_pairs, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.timing.check import Checked
    from equipoise.timing.expert_cost import ExpertCost


@dataclass(frozen=True)
class Run:
    """The settings of a run that the cost itself does not know."""

    model: str | None
    slots: list[int]
    points: int
    output: Path | None


def summary(cost: ExpertCost, checked: list[Checked], run: Run) -> dict[str, Any]:
    """Return what was measured, the cost in microseconds, and how far it is off."""
    return {
        "model": run.model,
        **asdict(cost.conditions),
        "slots": run.slots,
        "points": run.points,
        "measured_to": cost.measured_to,
        "layer": cost.layer,
        "expert": cost.expert,
        "tiles": cost.tiles,
        "token": cost.token,
        "floor": cost.floor,
        "residual": cost.residual,
        "scatter": cost.scatter,
        "check": [_as_figures(one) for one in checked],
        "check_error": sqrt(sum(one.squared_error for one in checked) / len(checked)) if checked else None,
        "output": str(run.output) if run.output else None,
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_pairs(what_was_measured(summary))
    print_line()
    print_table(("what costs", "microseconds"), _cost_rows(summary))
    print_line()
    print_pairs(_how_good(summary))
    if summary["check"]:
        print_line()
        head = ("GPUs of random placements", "mean", "measured", "slowest", "measured", "error")
        print_table(head, _check_rows(summary["check"]))
        print_line("Microseconds: predicted, and beside it measured, of the mean GPU and of the slowest.")
    print_line()
    print_line("A GPU takes the layer once and the rest for each expert; a tile is paid whole, however few are in it.")
    print_line("Errors are relative, root mean square. What GPUs send each other is not measured.")
    print_files({summary["output"]: "cost of experts"})


def what_was_measured(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the device, the programs and the experts by name; a line without one belongs to the line before."""
    whose = f" of {summary['model']}" if summary["model"] else ""
    *others, last = map(str, summary["slots"])
    slots = f"{', '.join(others)} or {last}" if others else last
    return [
        ("device", summary["device"]),
        ("versions", ", ".join(f"{program} {version}" for program, version in summary["versions"].items())),
        ("experts", f"hidden size {summary['hidden_size']}, expert size {summary['expert_size']}{whose}"),
        ("", f"weights and tokens in {summary['dtype']}"),
        ("measured", f"{counted(summary['points'], 'GPU')} of {slots} slots"),
        ("", f"up to {summary['measured_to']:.0f} tokens of an expert"),
    ]


def _cost_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    tiles = [(f"each tile of {rows} tokens", f"{cost:.2f}") for rows, cost in summary["tiles"].items()]
    return [
        ("the layer", f"{summary['layer']:.2f}"),
        ("each expert with a token", f"{summary['expert']:.2f}"),
        *tiles,
        ("each token", f"{summary['token']:.4f}"),
    ]


def _how_good(summary: dict[str, Any]) -> list[tuple[str, str]]:
    pays = f"from {counted(summary['floor'], 'token')} on" if summary["floor"] else "never, of those tried"
    return [
        ("residual", f"{summary['residual']:.1%}, of it {summary['scatter']:.1%} from GPU to GPU"),
        ("an expert's split pays", pays),
        *([("check", f"{summary['check_error']:.1%} off on GPUs of random placements")] if summary["check"] else []),
    ]


def _check_rows(check: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            f"{counted(one['slots'], 'slot')}, {counted(one['tokens'], 'token')} each",
            *(f"{of(one[kind]):.0f}" for of in (_mean, max) for kind in ("predicted", "measured")),
            f"{one['error']:.1%}",
        )
        for one in check
    ]


def _mean(times: list[float]) -> float:
    return sum(times) / len(times)


def _as_figures(one: Checked) -> dict[str, Any]:
    return {
        "slots": one.slots,
        "tokens": one.tokens,
        "predicted": one.predicted.tolist(),
        "measured": one.measured.tolist(),
        "error": sqrt(one.squared_error),
    }
