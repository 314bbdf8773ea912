"""``equipoise convert``: loads or a placement in, the same in another format out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.cli.options.formats import (  # noqa: TC001
    FileGpus,
    FileNodes,
    FirstMoeLayer,
    FromFormat,
    NumLayers,
    ToFormat,
)
from equipoise.cli.options.loads import AskedExperts, AskedWindows, LoadsOptions
from equipoise.cli.options.model import AskedModel, ModelOptions


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="IN...", help="Loads, or a placement, of any format.", show_default=False),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.", show_default=False)],
    source_format: FromFormat = None,
    output_format: ToFormat = None,
    gpus: FileGpus = None,
    nodes: FileNodes = None,
    model: AskedModel = None,
    first_moe_layer: FirstMoeLayer = None,
    num_layers: NumLayers = None,
    windows: AskedWindows = None,
    experts: AskedExperts = None,
) -> None:
    """Convert loads or a placement to another format, such as an engine's."""
    if output.resolve() in [source.resolve() for source in sources]:
        raise typer.BadParameter("the result would replace what is read", param_hint="OUT")

    from equipoise.cli.summaries.words import counted, shape_in_words
    from equipoise.cli.terminal.console import print_line
    from equipoise.formats import (
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
    if is_placement:
        if len(sources) > 1:
            raise typer.BadParameter("say one placement", param_hint="IN")
        deployment = named.deployment(gpus, nodes, first_moe_layer, num_layers)
        placement = read_placement(sources[0], source_format, deployment)
        named.check_experts(placement.experts, "placement")
        name = write_placement(placement, output, output_format, deployment)
        shape = f"{counted(placement.layers, 'layer')} x {counted(placement.cluster.slots, 'slot')}"
    else:
        loads = LoadsOptions(source_format, named, windows, experts).read(sources)
        name = write_loads(loads, output, output_format)
        shape = shape_in_words({"windows": loads.windows, "layers": loads.layers, "experts": loads.experts})
    print_line(f"{output}: {shape}, in the format {name}")
