"""The summary of a placement, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.cli.summaries.par import par_in_summary
from equipoise.cli.summaries.words import cluster_in_words, counted, groups_in_words, layers_in_words
from equipoise.cli.terminal.console import print_line, print_pairs, print_table
from equipoise.cli.terminal.strip import print_strips
from equipoise.errors import InputError
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.loads import Loads
    from equipoise.placement import Placement


def summary(placement: Placement) -> dict[str, Any]:
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
        "groups": placement.groups,
        "locality": placement.locality,
        "off_node": placement.off_node,
        "decoder_layers": placement.decoder_layers,
        "experts_with_copies": (copies > 1).sum(axis=1).tolist(),
        "most_copies": {"copies": int(copies.max()), "layer": layer, "expert": expert},
        "duplicates": placement.duplicates.tolist(),
        "valid": (fault := _fault(placement)) is None,
        "fault": fault,
    }


def served_figures(placement: Placement, loads: Loads | None) -> dict[str, Any]:
    """Return the PAR of the placement under recorded loads, if there are any."""
    return {"par": None if loads is None else par_in_summary(balance(placement, loads))}


def print_summary(file: str, summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    most, copied = summary["most_copies"], summary["experts_with_copies"]
    print_line(f"placement {file}")
    print_line()
    print_strips({"experts with copies": copied}, low=min(copied))
    print_line()
    numbers = summary["decoder_layers"]
    print_pairs(
        [
            ("cluster", cluster_in_words(summary["cluster"])),
            ("shape", f"{counted(summary['layers'], 'layer')} x {counted(summary['slots'], 'slot')}"),
            *([("decoder layers", layers_in_words(numbers))] if numbers else []),
            ("experts", f"{summary['experts']}, and {summary['redundant']} redundant slots in a layer"),
            ("groups", groups_in_words(summary["groups"], summary["locality"])),
            ("experts with copies", f"{np.mean(copied):.1f} in a layer, {min(copied)} to {max(copied)}"),
            ("most copies", f"{most['copies']}, of expert {most['expert']} in layer {most['layer']}"),
            ("duplicates", f"{sum(summary['duplicates'])}"),
            ("valid", f"no: {summary['fault']}" if summary["fault"] else "yes"),
        ]
    )
    if summary["par"]:
        _print_served(summary["par"], numbers or range(summary["layers"]), summary["duplicates"])


def _print_served(par: dict[str, Any], layers: Sequence[int], duplicates: list[int]) -> None:
    """Print the PAR of every layer under the loads that are served."""
    print_line()
    print_table(
        ("layer", "PAR", "duplicates"),
        [
            (str(layer), f"{mean:.4f}", str(twice))
            for layer, mean, twice in zip(layers, par["by_layer"], duplicates, strict=True)
        ],
    )
    print_line()
    print_line(f"PAR {par['mean']:.4f}, mean over windows and layers that are not idle; at worst {par['worst']:.4f}")


def _fault(placement: Placement) -> str | None:
    """Return what is not valid, if anything; engines' planners put an expert on a GPU twice."""
    try:
        placement.validate()
    except InputError as error:
        return str(error)
    return None
