"""The figures of a placement, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.cli.console import counted, print_line, print_pairs
from equipoise.cli.strip import print_strips
from equipoise.errors import InputError

if TYPE_CHECKING:
    from equipoise.placement import Placement


def figures(placement: Placement) -> dict[str, Any]:
    """Return the shape, the replicas and the duplicates of a placement, and what is not valid about it."""
    copies = placement.logcnt
    layer, expert = (int(i) for i in np.unravel_index(copies.argmax(), copies.shape))
    return {
        "kind": "placement",
        "cluster": asdict(placement.cluster),
        "layers": placement.layers,
        "slots": placement.cluster.slots,
        "experts": placement.experts,
        "redundant": placement.cluster.live_slots - placement.experts,
        "experts_with_copies": (copies > 1).sum(axis=1).tolist(),
        "most_copies": {"copies": int(copies.max()), "layer": layer, "expert": expert},
        "duplicates": placement.duplicates.tolist(),
        "valid": (fault := _fault(placement)) is None,
        "fault": fault,
    }


def print_figures(file: str, figures: dict[str, Any]) -> None:
    """Print the figures for a person."""
    most, copied = figures["most_copies"], figures["experts_with_copies"]
    print_line(f"placement {file}")
    print_line()
    print_strips({"experts with copies": copied}, low=min(copied))
    print_line()
    print_pairs(
        [
            ("cluster", cluster_in_words(figures["cluster"])),
            ("shape", f"{counted(figures['layers'], 'layer')} x {counted(figures['slots'], 'slot')}"),
            ("experts", f"{figures['experts']}, and {figures['redundant']} redundant slots in a layer"),
            ("experts with copies", f"{np.mean(copied):.1f} in a layer, {min(copied)} to {max(copied)}"),
            ("most copies", f"{most['copies']}, of expert {most['expert']} in layer {most['layer']}"),
            ("duplicates", f"{sum(figures['duplicates'])}"),
            ("valid", f"no: {figures['fault']}" if figures["fault"] else "yes"),
        ]
    )


def _fault(placement: Placement) -> str | None:
    """Return what is not valid, if anything; engines' planners put an expert on a GPU twice."""
    try:
        placement.validate()
    except InputError as error:
        return str(error)
    return None


def cluster_in_words(cluster: dict[str, Any]) -> str:
    """Return ``"32 GPUs on 4 nodes, 9 slots on each GPU"``, and how many GPUs are dead."""
    gpus, nodes = counted(cluster["gpus"], "GPU"), counted(cluster["nodes"], "node")
    dead = f"; {counted(len(cluster['dead']), 'GPU')} dead" if cluster["dead"] else ""
    return f"{gpus} on {nodes}, {counted(cluster['slots_per_gpu'], 'slot')} on each GPU{dead}"
