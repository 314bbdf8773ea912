"""The summary of a migration, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.cli.summaries.par import par_in_summary
from equipoise.cli.summaries.timing import (
    beyond_measured,
    cost_in_words,
    figures_saved,
    print_saved,
    print_what_times_are,
)
from equipoise.cli.summaries.words import cluster_in_words, counted, size_in_words
from equipoise.cli.terminal.console import print_line, print_pairs, print_table
from equipoise.serving.balance import balance
from equipoise.timing.time_saved import time_saved

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.migration.migration import Migration
    from equipoise.placement import Placement
    from equipoise.timing.batch import Batch

MOST_MOVED = 5
LINKS_PRINTED = 16
PAR = ("mean", "worst")


def summary(migration: Migration, old: Path, new: Path, expert_bytes: int | None) -> dict[str, Any]:
    """Return what moves, in all, by layer and by link; bytes are None where those of an expert are not known."""
    layers = {
        "moves": migration.moves,
        "local": migration.local,
        "from_disk": migration.from_disk,
        "batches": migration.batches,
    }
    return {
        "old": _placement(migration.before, old),
        "new": _placement(migration.after, new),
        "layers": migration.after.layers,
        "experts": migration.after.experts,
        "expert_bytes": expert_bytes,
        "moves": int(migration.moves.sum()),
        "moved_share": migration.moved_share,
        "batches": int(migration.batches.max()),
        "staging": migration.staging,
        "traffic": {
            kind: {"experts": experts, "bytes": experts * expert_bytes if expert_bytes else None}
            for kind, experts in asdict(migration.bytes(1)).items()
        },
        "most_moved_layers": _most_moved(migration.moves),
        "by_layer": {name: values.tolist() for name, values in layers.items()},
        "by_link": _links(migration.by_link(), expert_bytes),
    }


def served_figures(old: Placement, new: Placement, loads: Loads, batches: list[Batch]) -> dict[str, Any]:
    """Return the PAR of both placements under recorded loads, mean over windows and layers, and the layer times."""
    placements = {"old": old, "new": new}
    return {
        "par": {name: par_in_summary(balance(placement, loads)) for name, placement in placements.items()},
        "times": [figures_saved(time_saved((old, new), loads, batch)) for batch in batches],
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_line(f"old placement {summary['old']['file']}")
    print_line(f"new placement {summary['new']['file']}")
    print_line()
    print_pairs(_what_changes(summary))
    print_line()
    if "par" in summary:
        _print_served(summary)
        print_line()
    if not summary["moves"]:
        print_line("Nothing moves: every GPU holds the experts that it needs already.")
        return
    _print_traffic(summary["traffic"])
    print_line()
    _print_layers(summary["most_moved_layers"], summary["by_layer"])
    if summary["by_link"]:
        print_line()
        _print_links(summary["by_link"])


def _print_served(summary: dict[str, Any]) -> None:
    """Print what both placements make of the loads."""
    rows = [(f"PAR, {which}", *(f"{summary['par'][name][which]:.4f}" for name in ("old", "new"))) for which in PAR]
    print_table((f"serving {summary['loads']}", "old", "new"), rows)
    if not summary["times"]:
        return
    print_line()
    print_saved(summary["times"], ("old", "new"))
    print_line()
    print_pairs(cost_in_words(summary["cost"]))
    print_line()
    print_what_times_are(summary["cost"], beyond_measured(summary["times"]))


def _placement(placement: Placement, file: Path) -> dict[str, Any]:
    return {"file": str(file), "cluster": asdict(placement.cluster), "slots": placement.cluster.slots}


def _most_moved(moves: NDArray[np.int64]) -> list[int]:
    """Return the layers with the most moves, the most first, ties by number; none without any."""
    most = np.argsort(-moves, kind="stable")[:MOST_MOVED]
    return [int(layer) for layer in most if moves[layer]]


def _links(by_link: NDArray[np.int64], expert_bytes: int | None) -> list[dict[str, Any]]:
    """Return the links that are used, the most used first, ties by node."""
    links = [
        {"from": source, "to": node, "experts": experts, "bytes": experts * expert_bytes if expert_bytes else None}
        for source, row in enumerate(by_link.tolist())
        for node, experts in enumerate(row)
        if experts
    ]
    return sorted(links, key=lambda link: -link["experts"])


def _what_changes(summary: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("old cluster", cluster_in_words(summary["old"]["cluster"])),
        ("new cluster", cluster_in_words(summary["new"]["cluster"])),
        ("shape", f"{counted(summary['layers'], 'layer')} x {counted(summary['experts'], 'expert')}"),
        ("moves", f"{summary['moves']}, {summary['moved_share']:.1%} of the slots"),
        ("local copies", f"{summary['traffic']['local']['experts']}"),
        ("batches", f"{summary['batches']} at most in a layer"),
    ]


def _print_traffic(traffic: dict[str, Any]) -> None:
    kinds = {"within_nodes": "within nodes", "between_nodes": "between nodes", "from_disk": "from disk"}
    _print_sizes("moves", [(words, traffic[kind]) for kind, words in kinds.items()])


def _print_layers(most_moved: list[int], by_layer: dict[str, list[int]]) -> None:
    rows = [(str(layer), str(by_layer["moves"][layer]), str(by_layer["batches"][layer])) for layer in most_moved]
    print_table(("layers with the most moves", "moves", "batches"), rows)


def _print_links(links: list[dict[str, Any]]) -> None:
    _print_sizes("links", [(_link_in_words(link), link) for link in links[:LINKS_PRINTED]])
    if len(links) > LINKS_PRINTED:
        print_line(f"... and {len(links) - LINKS_PRINTED} more; --json lists them all")


def _link_in_words(link: dict[str, Any]) -> str:
    if link["from"] == link["to"]:
        return f"within node {link['from']}"
    return f"node {link['from']} -> node {link['to']}"


def _print_sizes(head: str, rows: list[tuple[str, dict[str, Any]]]) -> None:
    """Print how many experts each row stands for, and their bytes where they are known."""
    if rows[0][1]["bytes"] is None:
        print_table((head, "experts"), [(words, str(size["experts"])) for words, size in rows])
        return
    print_table(
        (head, "experts", "bytes"),
        [(words, str(size["experts"]), size_in_words(size["bytes"])) for words, size in rows],
    )
