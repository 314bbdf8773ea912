"""``equipoise show``: what a file of loads or a placement holds."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.options.cluster import refuse_other_cluster
from equipoise.cli.options.formats import FileGpus, FileNodes, FromFormat  # noqa: TC001
from equipoise.cli.options.layers import FirstMoeLayer, LayerOptions, MoeLayers
from equipoise.cli.options.loads import AskedExperts, AskedWindows, LoadsOptions, named_recordings
from equipoise.cli.options.model import AskedModel, ModelOptions
from equipoise.cli.options.panels import OUTPUT


def show(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Recorded loads, or a placement.", show_default=False),
    ],
    file_format: FromFormat = None,
    gpus: FileGpus = None,
    nodes: FileNodes = None,
    model: AskedModel = None,
    first_moe_layer: FirstMoeLayer = None,
    moe_layers: MoeLayers = None,
    windows: AskedWindows = None,
    experts: AskedExperts = None,
    served: Annotated[
        list[Path] | None,
        typer.Option(
            "--loads",
            help="Recorded loads to serve with the placement: says its PAR in every layer; may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with all figures.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Show what recorded loads or a placement hold; a placement of Equipoise that is not valid is an error."""
    from equipoise.cli.summaries import loads, placement
    from equipoise.cli.terminal.console import print_json
    from equipoise.formats import holds_placement, read_placement
    from equipoise.formats.registry import PLACEMENTS

    named = ModelOptions(model)
    layers = LayerOptions(named, first_moe_layer, moe_layers)
    if file_format in PLACEMENTS if file_format else len(files) == 1 and holds_placement(files[0]):
        if len(files) > 1:
            raise typer.BadParameter("say one placement", param_hint="FILE")
        read = read_placement(files[0], file_format, layers.deployment(gpus, nodes))
        named.check_experts(read.experts, "placement")
        refuse_other_cluster(gpus, nodes, read.cluster)
        recorded = LoadsOptions(None, named, windows, experts).read(served) if served else None
        found = placement.summary(read) | placement.served_figures(read, recorded)
        print_summary = placement.print_summary
    else:
        if served:
            raise typer.BadParameter("loads are served with a placement, and this is none", param_hint="--loads")
        refuse_other_cluster(gpus, nodes, of=None)
        found = loads.summary(layers.numbered(LoadsOptions(file_format, named, windows, experts).read(files)))
        print_summary = loads.print_summary
    if as_json:
        print_json({"file": named_recordings(files), **found})
    else:
        print_summary(str(named_recordings(files)), found)
