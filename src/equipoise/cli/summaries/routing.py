"""The summary of each routing, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, get_args

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
from equipoise.serving.balance import balance
from equipoise.serving.slot_shares import FILLED, Routing
from equipoise.timing.layer_time import layer_time

if TYPE_CHECKING:
    from equipoise.loads import Loads
    from equipoise.serving.best_split import Split
    from equipoise.timing.batch import Batch


@dataclass(frozen=True)
class Drawn:
    """The tokens and the picks that one GPU brings to a pass; None where they do not matter or are not known."""

    tokens: int | None
    picks: int | None


def summary(
    split: Split, loads: Loads, drawn: Drawn, batches: list[Batch], cost: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the PAR of every routing, by layer, under all windows together; as far as they are known, its times.

    Where the picks of a GPU are known, batches of so many are drawn too.
    """
    placement, total = split.placement, loads.sum()

    def judged(name: Routing) -> dict[str, Any]:
        found = par_in_summary(balance(placement, total, routing=name, batch=None if name == FILLED else drawn.tokens))
        found["times"] = [figures_of(one, layer_time(placement, total, one, routing=name)) for one in batches]
        if drawn.picks:
            in_batches = balance(placement, total, routing=name, batch=drawn.tokens, picks=drawn.picks)
            found["in_batches"] = par_in_summary(in_batches)
        return found

    return {
        "cluster": asdict(placement.cluster),
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "batch": drawn.tokens,
        "picks": drawn.picks,
        "cost": cost,
        "routings": {name: judged(name) for name in get_args(Routing)},
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_line(f"placement {summary['placement']}, {cluster_in_words(summary['cluster'])}")
    together = ", added up" if summary["windows"] > 1 else ""
    print_line(f"loads {summary['loads']}, {shape_in_words(summary)}{together}")
    print_line()
    rows = summary["routings"]
    in_batches = [f"of {summary['picks']} picks"] if summary["picks"] else []
    at = [counted(time["tokens"], "token") for time in rows["even"]["times"]]
    print_table(
        ("routing", "PAR mean", "worst layer", *in_batches, *at), [_row(name, par) for name, par in rows.items()]
    )
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
    if summary["cost"]:
        print_line()
        print_pairs(cost_in_words(summary["cost"]))
        print_line()
        print_line("Microseconds of a layer stand under the tokens of a GPU, in batches of that size.")
        times = [time for par in rows.values() for time in par["times"]]
        print_what_times_are(summary["cost"], beyond_measured(times))
    if summary["output"]:
        print_line()
        print_files({summary["output"]: "best split"})


def _row(name: str, par: dict[str, Any]) -> tuple[str, ...]:
    in_batches = [f"{par['in_batches']['mean']:.4f}"] if "in_batches" in par else []
    times = [f"{time['mean']:.1f}" for time in par["times"]]
    return name, f"{par['mean']:.4f}", f"{par['worst']:.4f}", *in_batches, *times
