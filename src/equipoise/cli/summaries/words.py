"""Numbers, shapes, clusters and sizes in words, as all summaries say them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from equipoise.units import DECIMAL_UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: ``"1 node"``, ``"4 nodes"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shape_in_words(summary: dict[str, Any]) -> str:
    """Return ``"16 windows x 58 layers x 256 experts"``."""
    return " x ".join(counted(summary[f"{axis}s"], axis) for axis in ("window", "layer", "expert"))


def layers_in_words(layers: Sequence[int]) -> str:
    """Return the numbers of layers, those that follow on each other by the first and the last.

    Examples
    --------
    >>> layers_in_words([3, 4, 5, 7]), layers_in_words([0]), layers_in_words([1, 3, 5, 7])
    ('3 to 5, 7', '0', 'every 2nd from 1 to 7')
    """
    steps = {after - before for before, after in pairwise(layers)}
    if steps == {2}:
        return f"every 2nd from {layers[0]} to {layers[-1]}"
    starts = [layers[0], *(after for before, after in pairwise(layers) if after != before + 1)]
    ends = [*(before for before, after in pairwise(layers) if after != before + 1), layers[-1]]
    return ", ".join(
        str(start) if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)
    )


def cluster_in_words(cluster: dict[str, Any]) -> str:
    """Return ``"32 GPUs on 4 nodes, 9 slots on each GPU"``, and how many GPUs are dead."""
    gpus, nodes = counted(cluster["gpus"], "GPU"), counted(cluster["nodes"], "node")
    dead = f"; {counted(len(cluster['dead']), 'GPU')} dead" if cluster["dead"] else ""
    return f"{gpus} on {nodes}, {counted(cluster['slots_per_gpu'], 'slot')} on each GPU{dead}"


def groups_in_words(groups: int, locality: str) -> str:
    """Return ``"8 expert groups, each kept on its node"``."""
    if groups == 1:
        return "1 expert group"
    kept = {
        "strict": "each kept on its node",
        "soft": "at home on a node each, served on others too",
        "none": "not kept together",
    }
    return f"{groups} expert groups, {kept[locality]}"


def groups_of_model_in_words(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Say that nobody asked for the groups, where the model alone has them, and how not to have them."""
    if summary["groups"] in (1, [1]) or not summary["groups_of_model"]:
        return []
    return [("", f"as {summary['model']} has them; --groups 1 undoes it")]


def size_in_words(size: int) -> str:
    """Return the size in the largest decimal unit that it fills.

    Examples
    --------
    >>> size_in_words(1_500_000_000), size_in_words(999), size_in_words(1)
    ('1.5 GB', '999 bytes', '1 byte')
    """
    for unit, unit_size in DECIMAL_UNITS.items():
        if size >= unit_size:
            return f"{size / unit_size:.1f} {unit}"
    return counted(size, "byte")
