"""``equipoise routing``: which balance an engine's routing gives a placement."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.options.formats import (
    FileGpus,
    FileNodes,
    FromFormats,
    source_formats_of,
)
from equipoise.cli.options.layers import FirstMoeLayer, LayerOptions, MoeLayers
from equipoise.cli.options.loads import AskedExperts, AskedWindows, LoadsOptions, named_recordings
from equipoise.cli.options.model import AskedModel, ModelOptions
from equipoise.cli.options.panels import OUTPUT
from equipoise.cli.options.timing import AskedCost, AskedDtype, AskedGpu, TimingOptions, Tokens, TopK


def routing(
    placement: Annotated[Path, typer.Argument(metavar="PLACEMENT", help="A placement.", show_default=False)],
    loads: Annotated[
        list[Path], typer.Argument(metavar="LOADS...", help="Recorded loads to serve.", show_default=False)
    ],
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of one GPU in one forward pass; without, very many.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the best split of every expert's load over its replicas, as .npz or .pt.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    source_formats: FromFormats = None,
    windows: AskedWindows = None,
    experts: AskedExperts = None,
    gpus: FileGpus = None,
    nodes: FileNodes = None,
    model: AskedModel = None,
    first_moe_layer: FirstMoeLayer = None,
    moe_layers: MoeLayers = None,
    cost: AskedCost = None,
    gpu: AskedGpu = None,
    dtype: AskedDtype = None,
    tokens: Tokens = None,
    top_k: TopK = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with the PAR of every layer.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Show the balance that each engine's choice of replicas gives a placement, and the best that any could."""
    named, timing = ModelOptions(model), TimingOptions(cost, gpu, dtype, tokens, top_k)
    loads_format, placement_format = source_formats_of(source_formats, loads=True, placements=True)

    from equipoise.cli.summaries.routing import Drawn, print_summary, summary
    from equipoise.cli.summaries.timing import cost_summary
    from equipoise.cli.terminal.console import print_json
    from equipoise.formats import read_placement
    from equipoise.formats.splits import check_split_path, write_split
    from equipoise.serving.best_split import least_peak_split

    if output:
        check_split_path(output)
    batches = timing.batches(named.model)
    recorded = LoadsOptions(loads_format, named, windows, experts).read(loads)
    deployment = LayerOptions(named, first_moe_layer, moe_layers).deployment(gpus, nodes)
    split = least_peak_split(read_placement(placement, placement_format, deployment), recorded)
    if batches:
        top_k = batches[0].top_k
    elif top_k is None and named.model:
        top_k = named.model.top_k
    drawn = Drawn(batch, batch * top_k if batch and top_k else None)
    found = summary(split, recorded, drawn, batches, cost_summary(batches, timing.source))
    if output:
        write_split(split, output)
    files = {"placement": str(placement), "loads": named_recordings(loads), "output": str(output) if output else None}
    if as_json:
        print_json({**files, **found})
    else:
        print_summary({**files, **found})
