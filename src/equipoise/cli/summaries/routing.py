"""The summary of each routing, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from equipoise.cli.summaries.words import cluster_in_words, shape_in_words
from equipoise.cli.terminal.console import print_line, print_table
from equipoise.serving.balance import balance
from equipoise.serving.slot_shares import Routing

if TYPE_CHECKING:
    from equipoise.loads import Loads
    from equipoise.serving.balance import Balance
    from equipoise.serving.best_split import Split


def summary(split: Split, loads: Loads, batch: int | None) -> dict[str, Any]:
    """Return the PAR of every routing and of the best split, by layer, under all windows together."""
    placement, total = split.placement, loads.sum()
    return {
        "cluster": asdict(placement.cluster),
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "batch": batch,
        "best": _par(balance(placement, total, routing=split.shares)),
        "routings": {name: _par(balance(placement, total, routing=name, batch=batch)) for name in get_args(Routing)},
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_line(f"placement {summary['placement']}, {cluster_in_words(summary['cluster'])}")
    print_line(f"loads {summary['loads']}, {shape_in_words(summary)}")
    print_line()
    rows = {**summary["routings"], "best split": summary["best"]}
    print_table(
        ("routing", "PAR mean", "worst layer"),
        [(name, f"{par['mean']:.4f}", f"{par['worst']:.4f}") for name, par in rows.items()],
    )
    if summary["output"]:
        print_line()
        print_line(f"The best split is in {summary['output']}.")


def _par(result: Balance) -> dict[str, Any]:
    par = result.par[0]
    return {"mean": float(par.mean()), "worst": float(par.max()), "by_layer": par.tolist()}
