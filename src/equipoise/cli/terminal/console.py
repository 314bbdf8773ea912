"""What the commands print: lines and tables for people, one JSON object for machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from equipoise.cli.terminal.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType


def print_line(text: str = "") -> None:
    """Print a line as it is, however long, so that a path in it can be copied."""
    _print(printable(text), soft_wrap=True)


def print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows under a head, the first column to the left and the others to the right."""
    table = Table(box=None, pad_edge=False)
    for column, name in enumerate(head):
        table.add_column(name, justify="right" if column else "left")
    for row in rows:
        table.add_row(*map(printable, row))
    console = _console()
    console.width = max(console.width, console.measure(table).maximum)  # a number cut off is none
    console.print(table)


def print_pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and, beside them, what they stand for, as it is; a line without a name belongs to the last."""
    rows = list(rows)
    margin = max(len(name) for name, _ in rows) + 3
    for name, text in rows:
        print_line(f"{name.ljust(margin)}{text}")


def print_json(summary: dict[str, Any]) -> None:
    """Print one JSON object and nothing else."""
    print(json.dumps(summary, allow_nan=False))


def _print(content: RenderableType, soft_wrap: bool = False) -> None:
    _console().print(content, soft_wrap=soft_wrap)


def _console() -> Console:
    """Return what prints plain text on stdout: brackets and numbers in it mean nothing special."""
    return Console(color_system=None, markup=False, highlight=False, emoji=False)
