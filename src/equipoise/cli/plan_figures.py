"""The figures of a plan, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.balance import balance
from equipoise.cli.console import counted, print_line, print_pairs, print_table
from equipoise.cli.loads_figures import shape_in_words

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.cli.stopwatch import Time
    from equipoise.loads import Loads
    from equipoise.planner import Plan


def figures(
    plan: Plan,
    loads: Loads,
    recording: Path | None,
    groups: int,
    effort: str,
    start: Time,
    time: Time,
    output: Path | None,
) -> dict[str, Any]:
    """Return what was planned and what came of it; PAR and its bound are in units of the mean GPU load."""
    placement, cluster = plan.placement, plan.placement.cluster
    layers = {
        "par_before": balance(plan.before, loads.sum()).par[0],
        "par": plan.par,
        "bound": np.divide(plan.bound, plan.mean, out=np.ones_like(plan.bound), where=plan.mean > 0),
        "gap": plan.gap,
    }
    return {
        "loads": str(recording) if recording else "synthetic sample",
        "synthetic": recording is None,
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "cluster": asdict(cluster),
        "slots": cluster.slots,
        "redundant": cluster.slots - loads.experts,
        "groups": groups,
        "effort": effort,
        **{name: _mean_and_worst(values) for name, values in layers.items()},
        "experts_with_copies": float((placement.logcnt > 1).sum(axis=1).mean()),
        "duplicates": int(placement.duplicates.sum()),
        "moves": int(plan.moves.sum()),
        "moved_share": float(plan.moves.sum() / placement.phy2log.size),
        "milliseconds": time.milliseconds,
        "start_milliseconds": start.milliseconds,
        "compiling_milliseconds": start.compiling,
        "output": str(output) if output else None,
        "by_layer": {name: values.tolist() for name, values in (layers | {"moves": plan.moves}).items()},
    }


def print_figures(figures: dict[str, Any]) -> None:
    """Print the figures for a person."""
    print_pairs(_what_was_planned(figures))
    print_line()
    print_table(("", "mean", "worst", "layer"), _balance_rows(figures))
    print_line()
    print_pairs(_what_it_takes(figures))
    print_line()
    print_line("PAR is peak / mean GPU load; at 1, which is perfect, no GPU waits for another.")
    print_line("No placement that these settings allow gets below the bound.")
    if figures["output"]:
        print_line(f"The placement is in {figures['output']}")


def _mean_and_worst(values: NDArray[np.float64]) -> dict[str, float | int]:
    worst = int(values.argmax())
    return {"mean": float(values.mean()), "worst": float(values[worst]), "worst_layer": worst}


def _what_was_planned(figures: dict[str, Any]) -> list[tuple[str, str]]:
    cluster = figures["cluster"]
    gpus, nodes = counted(cluster["gpus"], "GPU"), counted(cluster["nodes"], "node")
    return [
        ("loads", figures["loads"] + (", in DeepSeek-V3's shape" if figures["synthetic"] else "")),
        ("", shape_in_words(figures)),
        ("cluster", f"{gpus} on {nodes}, {counted(cluster['slots_per_gpu'], 'slot')} on each GPU"),
        ("", f"{figures['slots']} slots for a layer, {figures['redundant']} of them redundant"),
        ("groups", counted(figures["groups"], "expert group")),
        ("effort", figures["effort"]),
    ]


def _balance_rows(figures: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    formats = {
        "par_before": ("PAR before, in the default layout", ".4f"),
        "par": ("PAR after", ".4f"),
        "bound": ("bound on PAR", ".4f"),
        "gap": ("gap to the bound", ".2%"),
    }
    rows = ((words, figures[name], form) for name, (words, form) in formats.items())
    return [
        (words, format(values["mean"], form), format(values["worst"], form), str(values["worst_layer"]))
        for words, values, form in rows
    ]


def _what_it_takes(figures: dict[str, Any]) -> list[tuple[str, str]]:
    why = "of compiling, once" if figures["compiling_milliseconds"] else "of getting ready"
    return [
        ("experts with copies", f"{figures['experts_with_copies']:.1f} in a layer"),
        ("duplicates", f"{figures['duplicates']}"),
        ("moves", f"{figures['moves']}, {figures['moved_share']:.1%} of the slots"),
        ("time", f"{figures['milliseconds']:.1f} ms, after {figures['start_milliseconds'] / 1e3:.1f} s {why}"),
    ]
