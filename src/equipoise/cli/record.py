"""``equipoise record``: the loads of a model that runs prompts on this machine."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated, Literal

import typer


def record(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model of transformers: its folder, or the name that it was downloaded by.",
            show_default=False,
        ),
    ],
    prompts: Annotated[
        Path, typer.Option(help="Text to run through it: a file with a prompt on each line.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The loads: .npz, .csv or .parquet.", show_default=False)
    ],
    window_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a window; the last may have fewer.")] = 4096,
    batch: Annotated[int, typer.Option(min=1, help="Prompts to run at once.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a prompt; the rest of it is cut off.")] = 2048,
    device: Annotated[
        str | None,
        typer.Option(help="Where it runs, as torch calls it; otherwise on a GPU, if there is one.", show_default=False),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(help="The type of its weights; auto is what they were saved in."),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run prompts through a model of transformers, and record which experts they pick."""
    if prompts.resolve() == output.resolve():
        raise typer.BadParameter("the loads would replace the prompts", param_hint="--output")

    from equipoise.cli.summaries.record import print_summary, summary
    from equipoise.cli.terminal.console import print_json
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.formats import check_loads_path, write_loads
    from equipoise.formats.files.lines import read_lines
    from equipoise.runtime.prompts import load_model, run_prompts
    from equipoise.runtime.record import record as record_model

    check_loads_path(output)
    texts = read_lines(prompts)
    loaded, tokenizer = load_model(model, device, dtype)
    with record_model(loaded, window_tokens) as recording, progress_bar("recording") as progress:
        run_prompts(loaded, tokenizer, texts, batch, max_tokens, progress)
    loads = recording.loads()
    write_loads(loads, output)
    found = summary(loads, recording, model, len(texts), output)
    if as_json:
        print_json(found)
    else:
        print_summary(found)
