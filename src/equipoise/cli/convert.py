"""``equipoise convert``: loads or a placement in, the same in another format out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.options.cluster import refuse_other_cluster
from equipoise.cli.options.formats import (  # noqa: TC001
    FileGpus,
    FileNodes,
    FromFormat,
    ToFormat,
)
from equipoise.cli.options.layers import FirstMoeLayer, LayerOptions, MoeLayers, NumLayers
from equipoise.cli.options.loads import AskedExperts, AskedWindows, LoadsOptions
from equipoise.cli.options.model import AskedModel, ModelOptions
from equipoise.formats.files.atomic import STANDARD_OUTPUT


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="IN...", help="Loads, or a placement, of any format.", show_default=False),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; - is stdout.", show_default=False)],
    source_format: FromFormat = None,
    output_format: ToFormat = None,
    gpus: FileGpus = None,
    nodes: FileNodes = None,
    model: AskedModel = None,
    first_moe_layer: FirstMoeLayer = None,
    moe_layers: MoeLayers = None,
    num_layers: NumLayers = None,
    windows: AskedWindows = None,
    experts: AskedExperts = None,
) -> None:
    """Convert loads or a placement to another format, such as an engine's."""
    if output != STANDARD_OUTPUT and output.resolve() in [source.resolve() for source in sources]:
        raise typer.BadParameter("the result would replace what is read", param_hint="OUT")

    from equipoise.cli.summaries.words import shape_in_words
    from equipoise.cli.summaries.written import placement_in_words, print_files
    from equipoise.formats import (
        check_placement_path,
        holds_placement,
        read_placement,
        write_loads,
        write_placement,
    )
    from equipoise.formats.files.atomic import check_writable
    from equipoise.formats.registry import PLACEMENTS

    check_writable(output)
    forced = source_format or output_format
    is_placement = forced in PLACEMENTS if forced else len(sources) == 1 and holds_placement(sources[0])
    named = ModelOptions(model)
    layers = LayerOptions(named, first_moe_layer, moe_layers, num_layers)
    if is_placement:
        if len(sources) > 1:
            raise typer.BadParameter("say one placement", param_hint="IN")
        placement = read_placement(sources[0], source_format, layers.deployment(gpus, nodes))
        named.check_experts(placement.experts, "placement")
        refuse_other_cluster(gpus, nodes, placement.cluster)
        written = check_placement_path(output, output_format)
        deployment = layers.to_write(placement, written)
        write_placement(placement, output, written, deployment)
        holds = placement_in_words(placement, written, deployment)
    else:
        refuse_other_cluster(gpus, nodes, of=None)
        if num_layers is not None:
            raise typer.BadParameter("loads have the layers with experts alone", param_hint="--num-layers")
        loads = layers.numbered(LoadsOptions(source_format, named, windows, experts).read(sources))
        written = write_loads(loads, output, output_format)
        shape = shape_in_words({"windows": loads.windows, "layers": loads.layers, "experts": loads.experts})
        holds = f"{shape}, in the format {written}"
    if output != STANDARD_OUTPUT:
        print_files({str(output): holds})
