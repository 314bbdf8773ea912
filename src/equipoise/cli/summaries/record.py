"""The summary of a recording, in lines and as JSON."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from equipoise.cli.options.reports import print_files
from equipoise.cli.summaries.words import counted, shape_in_words
from equipoise.cli.terminal.console import print_pairs

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.loads import Loads
    from equipoise.runtime.recording import Recording


def summary(loads: Loads, recording: Recording, model: str, prompts: int, output: Path) -> dict[str, Any]:
    """Return what was recorded, of which layers, and where it is."""
    return {
        "model": model,
        "prompts": prompts,
        "tokens": recording.tokens,
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "decoder_layers": list(recording.decoder_layers),
        "output": str(output),
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_pairs(
        [
            ("model", summary["model"]),
            ("recorded", f"{counted(summary['tokens'], 'token')} of {counted(summary['prompts'], 'prompt')}"),
            ("loads", shape_in_words(summary)),
            ("decoder layers", layers_in_words(summary["decoder_layers"])),
        ]
    )
    print_files({"recording": summary["output"]})


def layers_in_words(layers: list[int]) -> str:
    """Return the numbers of layers, those that follow on each other by the first and the last.

    Examples
    --------
    >>> layers_in_words([3, 4, 5, 7]), layers_in_words([0])
    ('3 to 5, 7', '0')
    """
    starts = [layers[0], *(after for before, after in pairwise(layers) if after != before + 1)]
    ends = [*(before for before, after in pairwise(layers) if after != before + 1), layers[-1]]
    return ", ".join(
        str(start) if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)
    )
