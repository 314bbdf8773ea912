"""``equipoise diff``: what moves between two placements."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.options.formats import FileGpus, FileNodes, FromFormats, source_formats_of
from equipoise.cli.options.layers import FirstMoeLayer, LayerOptions, MoeLayers
from equipoise.cli.options.loads import AskedExperts, AskedWindows, LoadsOptions, named_recordings
from equipoise.cli.options.model import AskedModel, ModelOptions
from equipoise.cli.options.panels import OUTPUT
from equipoise.cli.options.timing import AskedCost, AskedDtype, AskedGpu, TimingOptions, Tokens, TopK
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
    loads: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded loads to serve with both; may be repeated.", show_default=False),
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
        bool,
        typer.Option(
            "--json", help="Print one JSON object, with the figures of every layer and link.", rich_help_panel=OUTPUT
        ),
    ] = False,
) -> None:
    """Show what moves between two placements, over which links, in how many batches, and what that is worth."""
    named, timing = ModelOptions(model), TimingOptions(cost, gpu, dtype, tokens, top_k)
    loads_format, placement_format = source_formats_of(source_formats, loads=bool(loads), placements=True)
    if not loads and timing.is_asked:
        raise typer.BadParameter("say which loads shall be timed", param_hint="--loads")

    from equipoise.cli.summaries.diff import print_summary, served_figures, summary
    from equipoise.cli.summaries.timing import cost_summary
    from equipoise.cli.terminal.console import print_json
    from equipoise.formats import read_placement
    from equipoise.migration.migration import Migration

    batches = timing.batches(named.model)
    deployment = LayerOptions(named, first_moe_layer, moe_layers).deployment(gpus, nodes)
    before, after = (read_placement(path, placement_format, deployment) for path in (old, new))
    named.check_experts(before.experts, "placement")
    found = summary(Migration(before, after), old, new, expert_bytes)
    if loads:
        recorded = LoadsOptions(loads_format, named, windows, experts).read(loads)
        served = {"loads": named_recordings(loads), "cost": cost_summary(batches, timing.source)}
        found |= served | served_figures(before, after, recorded, batches)
    if as_json:
        print_json(found)
    else:
        print_summary(found)
