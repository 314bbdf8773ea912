"""The summary of each routing, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from equipoise.cli.summaries.par import par_in_summary
from equipoise.cli.summaries.timing import (
    beyond_measured,
    cost_in_words,
    figures_of,
    print_what_times_are,
)
from equipoise.cli.summaries.words import cluster_in_words, counted, shape_in_words
from equipoise.cli.summaries.written import print_files
from equipoise.cli.terminal.console import print_line, print_pairs, print_table
from equipoise.loads import Loads
from equipoise.serving.balance import balance, drawn_balances
from equipoise.serving.slot_shares import FILLED, Routing
from equipoise.timing.layer_time import layer_time

if TYPE_CHECKING:
    from equipoise.serving.best_split import Split
    from equipoise.timing.batch import Batch


MOST_DRAWN = 16  # windows that batches are drawn from, which takes long


@dataclass(frozen=True)
class Drawn:
    """The tokens and the picks that one GPU brings to a pass; None where they do not matter or are not known."""

    tokens: int | None
    picks: int | None


def summary(
    split: Split, loads: Loads, drawn: Drawn, batches: list[Batch], cost: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the PAR of every routing, by layer, mean over the windows; as far as they are known, its times.

    Where the picks of a GPU are known, batches of so many are drawn too.
    """
    placement, routings, some = split.placement, get_args(Routing), _some_windows(loads)

    def judged(name: Routing) -> dict[str, Any]:
        found = par_in_summary(balance(placement, loads, routing=name, batch=None if name == FILLED else drawn.tokens))
        found["times"] = [figures_of(one, layer_time(placement, some, one, routing=name)) for one in batches]
        return found

    found = {name: judged(name) for name in routings}
    if drawn.picks:
        in_batches = drawn_balances(placement, some, routings, drawn.picks, batch=drawn.tokens)
        for name, served in zip(routings, in_batches, strict=True):
            found[name]["in_batches"] = par_in_summary(served)
    return {
        "cluster": asdict(placement.cluster),
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "batch": drawn.tokens,
        "picks": drawn.picks,
        "windows_drawn": some.windows if drawn.picks or batches else None,
        "cost": cost,
        "routings": found,
    }


def _some_windows(loads: Loads) -> Loads:
    """Return as many windows as batches are drawn from, evenly apart."""
    number = min(loads.windows, MOST_DRAWN)
    return Loads(loads.counts[np.arange(number) * loads.windows // number])


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_line(f"placement {summary['placement']}, {cluster_in_words(summary['cluster'])}")
    print_line(f"loads {summary['loads']}, {shape_in_words(summary)}")
    print_line()
    rows = summary["routings"]
    in_batches = [f"of {summary['picks']} picks"] if summary["picks"] else []
    at = [counted(time["tokens"], "token") for time in rows["even"]["times"]]
    print_table(("routing", "PAR mean", "worst", *in_batches, *at), [_row(name, par) for name, par in rows.items()])
    print_line()
    if summary["picks"]:
        print_line(
            f"In batches to which each GPU brings some {summary['picks']} picks, filled GPUs know only their own."
        )
    elif summary["batch"]:
        print_line(
            "With --model or --top-k, batches of so many tokens are drawn too, in which GPUs fill with their own."
        )
    print_line("Filled, all picks known, is the most even that any routing could be; few tokens it may serve slower.")
    if summary["windows"] > 1:
        print_line("PAR is the mean over windows and layers, worst that of one window and layer.")
    if summary["windows_drawn"] not in (None, summary["windows"]):
        print_line(f"Batches are drawn from {summary['windows_drawn']} of the windows, evenly apart.")
    if summary["cost"]:
        print_line()
        print_pairs(cost_in_words(summary["cost"]))
        print_line()
        print_line("Microseconds of a layer stand under the tokens of a GPU, in batches of that size.")
        times = [time for par in rows.values() for time in par["times"]]
        print_what_times_are(summary["cost"], beyond_measured(times))
    if summary["output"]:
        print_line()
        together = ", of all windows added up" if summary["windows"] > 1 else ""
        print_files({summary["output"]: f"best split{together}"})


def _row(name: str, par: dict[str, Any]) -> tuple[str, ...]:
    in_batches = [f"{par['in_batches']['mean']:.4f}"] if "in_batches" in par else []
    times = [f"{time['mean']:.1f}" for time in par["times"]]
    return name, f"{par['mean']:.4f}", f"{par['worst']:.4f}", *in_batches, *times
