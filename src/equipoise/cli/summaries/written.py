"""What was written, and where: the last lines of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.cli.summaries.words import counted, layers_in_words
from equipoise.cli.terminal.console import print_line
from equipoise.formats.registry import PLACEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.formats import Deployment
    from equipoise.placement import Placement


def placement_in_words(placement: Placement, written: str, deployment: Deployment) -> str:
    """Return what a file of this format holds: ``"TensorRT-LLM, decoder layers 3 to 60, 288 slots"``."""
    known = PLACEMENTS[written]
    numbers = deployment.known_layers(placement) if known.numbered else None
    if numbers is None and known.padded:
        numbers = deployment.decoder_layers(placement)
    layers = f"decoder layers {layers_in_words(numbers)}" if numbers else counted(placement.layers, "layer")
    return f"{known.engine}, {layers}, {counted(placement.cluster.slots, 'slot')}"


def print_files(files: Mapping[str | None, str | None]) -> None:
    """Say what is in each file that was written."""
    for path, what in files.items():
        if path:
            print_line(f"{path}: {what}")
