"""``equipoise diff``: what moves between two placements."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.options.formats import FileGpus, FileNodes, FirstMoeLayer, FromFormats, source_formats_of
from equipoise.cli.options.values import parse_size


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
    source_formats: FromFormats = None,
    gpus: FileGpus = None,
    nodes: FileNodes = None,
    first_moe_layer: FirstMoeLayer = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with the figures of every layer and link.")
    ] = False,
) -> None:
    """Show what moves between two placements: how many experts, over which links, in how many batches."""
    _, placement_format = source_formats_of(source_formats, loads=False, placements=True)

    from equipoise.cli.summaries.diff import print_summary, summary
    from equipoise.cli.terminal.console import print_json
    from equipoise.formats import Deployment, read_placement
    from equipoise.migration.migration import Migration

    deployment = Deployment(gpus, nodes, first_moe_layer)
    before, after = (read_placement(path, placement_format, deployment) for path in (old, new))
    found = summary(Migration(before, after), old, new, expert_bytes)
    if as_json:
        print_json(found)
    else:
        print_summary(found)
