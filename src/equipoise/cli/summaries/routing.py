"""The summary of each routing, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from equipoise.cli.summaries.timing import (
    cost_in_words,
    figures_of,
    print_what_times_are,
)
from equipoise.cli.summaries.words import cluster_in_words, counted, shape_in_words
from equipoise.cli.terminal.console import print_line, print_pairs, print_table
from equipoise.serving.balance import balance
from equipoise.serving.slot_shares import Routing
from equipoise.timing.layer_time import layer_time

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.serving.balance import Balance
    from equipoise.serving.best_split import Split
    from equipoise.timing.batch import Batch


def summary(
    split: Split, loads: Loads, batch: int | None, batches: list[Batch], cost: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the PAR of every routing and of the best split, by layer, under all windows together, and their times."""
    placement, total = split.placement, loads.sum()

    def judged(routing: Routing | NDArray[np.float64]) -> dict[str, Any]:
        shares = batch if isinstance(routing, str) else None
        par = _par(balance(placement, total, routing=routing, batch=shares))
        return par | {"times": [figures_of(one, layer_time(placement, total, one, routing=routing)) for one in batches]}

    return {
        "cluster": asdict(placement.cluster),
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "batch": batch,
        "cost": cost,
        "best": judged(split.shares),
        "routings": {name: judged(name) for name in get_args(Routing)},
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_line(f"placement {summary['placement']}, {cluster_in_words(summary['cluster'])}")
    print_line(f"loads {summary['loads']}, {shape_in_words(summary)}")
    print_line()
    rows = {**summary["routings"], "best split": summary["best"]}
    at = [counted(time["tokens"], "token") for time in summary["best"]["times"]]
    print_table(
        ("routing", "PAR mean", "worst layer", *at),
        [
            (name, f"{par['mean']:.4f}", f"{par['worst']:.4f}", *(f"{time['mean']:.1f}" for time in par["times"]))
            for name, par in rows.items()
        ],
    )
    if summary["cost"]:
        print_line()
        print_pairs(cost_in_words(summary["cost"]))
        print_line()
        print_line("Microseconds of a layer stand under the tokens of a GPU, in batches of that size.")
        print_what_times_are(summary["cost"], [time for par in rows.values() for time in par["times"]])
    if summary["output"]:
        print_line()
        print_line(f"The best split is in {summary['output']}.")


def _par(result: Balance) -> dict[str, Any]:
    par = result.par[0]
    return {"mean": float(par.mean()), "worst": float(par.max()), "by_layer": par.tolist()}
