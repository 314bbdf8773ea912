"""``equipoise show``: what a file of loads or a placement holds."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.format_options import FileGpus, FileNodes, FromFormat  # noqa: TC001


def show(
    file: Annotated[Path, typer.Argument(help="Recorded loads, or a placement.", show_default=False)],
    file_format: FromFormat = None,
    gpus: FileGpus = None,
    nodes: FileNodes = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with all figures.")] = False,
) -> None:
    """Show what recorded loads or a placement hold; a placement of Equipoise that is not valid is an error."""
    from equipoise.cli import loads_figures, placement_figures
    from equipoise.cli.console import print_json
    from equipoise.formats import Deployment, holds_placement, read_loads, read_placement
    from equipoise.formats.table import PLACEMENTS

    if file_format in PLACEMENTS if file_format else holds_placement(file):
        found = placement_figures.figures(read_placement(file, file_format, Deployment(gpus, nodes)))
        print_figures = placement_figures.print_figures
    else:
        found = loads_figures.figures(read_loads(file, file_format))
        print_figures = loads_figures.print_figures
    if as_json:
        print_json({"file": str(file), **found})
    else:
        print_figures(str(file), found)
