"""The summary of a recording, in lines and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.cli.summaries.words import counted, layers_in_words, shape_in_words
from equipoise.cli.summaries.written import print_files
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
    print_files({summary["output"]: "loads, of these layers"})
