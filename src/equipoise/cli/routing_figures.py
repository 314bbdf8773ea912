"""The figures of each routing, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from equipoise.balance import balance
from equipoise.cli.console import print_line, print_table
from equipoise.cli.loads_figures import shape_in_words
from equipoise.cli.placement_figures import cluster_in_words
from equipoise.routing import Routing

if TYPE_CHECKING:
    from equipoise.balance import Balance
    from equipoise.loads import Loads
    from equipoise.routing.least_peak import Split


def figures(split: Split, loads: Loads, batch: int | None) -> dict[str, Any]:
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


def print_figures(figures: dict[str, Any]) -> None:
    """Print the figures for a person."""
    print_line(f"placement {figures['placement']}, {cluster_in_words(figures['cluster'])}")
    print_line(f"loads {figures['loads']}, {shape_in_words(figures)}")
    print_line()
    rows = {**figures["routings"], "best split": figures["best"]}
    print_table(
        ("routing", "PAR mean", "worst layer"),
        [(name, f"{par['mean']:.4f}", f"{par['worst']:.4f}") for name, par in rows.items()],
    )
    if figures["output"]:
        print_line()
        print_line(f"The best split is in {figures['output']}.")


def _par(result: Balance) -> dict[str, Any]:
    par = result.par[0]
    return {"mean": float(par.mean()), "worst": float(par.max()), "by_layer": par.tolist()}
