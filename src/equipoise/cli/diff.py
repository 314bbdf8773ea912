"""``equipoise diff``: what moves between two placements."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.format_options import FileGpus, FileNodes, FirstMoeLayer  # noqa: TC001
from equipoise.cli.sizes import parse_size


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The placement that is live.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The placement to replace it.", show_default=False)],
    expert_bytes: Annotated[
        int | None,
        typer.Option(
            parser=parse_size,
            metavar="SIZE",
            help="Weights of an expert of one layer, such as 44MB; without, only experts are counted.",
            show_default=False,
        ),
    ] = None,
    gpus: FileGpus = None,
    nodes: FileNodes = None,
    first_moe_layer: FirstMoeLayer = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with the figures of every layer and link.")
    ] = False,
) -> None:
    """Show what moves between two placements: how many experts, over which links, in how many batches."""
    from equipoise.cli.console import print_json
    from equipoise.cli.diff_figures import figures, print_figures
    from equipoise.formats import Deployment, read_placement
    from equipoise.migration import Migration

    deployment = Deployment(gpus, nodes, first_moe_layer)
    before, after = (read_placement(path, deployment=deployment) for path in (old, new))
    found = figures(Migration(before, after), old, new, expert_bytes)
    if as_json:
        print_json(found)
    else:
        print_figures(found)
