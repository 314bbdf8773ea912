"""``equipoise trace``: synthetic loads that change as they are told to."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from equipoise.synthetic.traces import Regime, synthetic_trace


def trace(
    regime: Annotated[
        Regime,
        typer.Argument(
            metavar="REGIME",
            help="How loads change: steady (not at all), slow or fast (drift), noise, or change (in the middle).",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The file to write.", show_default=False)],
    windows: Annotated[int, typer.Option(min=1, help="Windows of time.")] = 100,
    layers: Annotated[int, typer.Option(min=1, help="Layers of each window.")] = 8,
    experts: Annotated[int, typer.Option(min=1, help="Experts of each layer.")] = 256,
    selections: Annotated[
        int, typer.Option(min=1, help="Token selections of a layer in a window, on average.")
    ] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another trace.")] = 0,
) -> None:
    """Write synthetic loads that change from window to window as the regime says."""
    if output.suffix.lower() != ".npz":
        raise typer.BadParameter(f"{output} does not end in .npz, by which it is known", param_hint="OUT.npz")

    from io import BytesIO

    import numpy as np

    from equipoise.cli.summaries.words import shape_in_words
    from equipoise.cli.terminal.console import print_line
    from equipoise.formats.files.atomic import check_writable, write_whole

    check_writable(output)
    shape = {"windows": windows, "layers": layers, "experts": experts}
    loads = synthetic_trace(regime, **shape, selections=selections, seed=seed)
    content = BytesIO()
    np.savez_compressed(content, counts=loads.counts.astype(np.int64))
    write_whole(output, content.getvalue())
    print_line(f"{output}: {shape_in_words(shape)}, a synthetic trace ({regime}); nothing of it was recorded")
