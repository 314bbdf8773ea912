"""``equipoise show``: what a file of loads or a placement holds."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer


def show(
    file: Annotated[Path, typer.Argument(help="Recorded loads, or a placement.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with all figures.")] = False,
) -> None:
    """Show what recorded loads or a placement hold; a placement that is not valid is an error."""
    from equipoise.cli import loads_figures, placement_figures
    from equipoise.cli.console import print_json
    from equipoise.formats import read_loads
    from equipoise.formats.placement_json import is_placement, read_placement

    if is_placement(file):
        found = placement_figures.figures(read_placement(file))
        print_figures = placement_figures.print_figures
    else:
        found = loads_figures.figures(read_loads(file))
        print_figures = loads_figures.print_figures
    if as_json:
        print_json({"file": str(file), **found})
    else:
        print_figures(str(file), found)
