"""The summary of a replayed trace, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from equipoise.cli.summaries.timing import TIME_HEAD, cost_in_words, microseconds, print_what_times_are, tokens_in_words
from equipoise.cli.summaries.words import (
    cluster_in_words,
    counted,
    groups_in_words,
    groups_of_model_in_words,
    shape_in_words,
    size_in_words,
)
from equipoise.cli.summaries.written import print_files
from equipoise.cli.terminal.console import print_line, print_pairs, print_table
from equipoise.forecasting.forecast import AUTO
from equipoise.planning.request import checked_locality
from equipoise.replay.policies import ORACLE, DeepSeekRule, FewMoves, Never, Oracle, WhenWorth

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.cluster import Cluster
    from equipoise.forecasting.forecast import Method
    from equipoise.loads import Loads
    from equipoise.migration.costs import Costs
    from equipoise.replay.policies import Policy
    from equipoise.replay.simulate import Replay


@dataclass(frozen=True)
class Run:
    """The file and the settings of a run."""

    recording: str | None
    cluster: Cluster
    asked: dict[str, Any]
    interval: int
    window: int
    forecast: Method
    interval_seconds: float | None
    costs: Costs
    report: Path | None
    png: Path | None


def policies(budgets: list[float], forecast: Method, interval_seconds: float | None, costs: Costs) -> dict[str, Policy]:
    """Return the policies that are compared by name, one for each budget and one without any.

    interval_seconds: how long experts run between two decisions, if ours are to move only what saves more time than it
    takes.

    Examples
    --------
    >>> from equipoise.migration.costs import Costs
    >>> list(policies([0.05, 500], "auto", None, Costs()))
    ['never', "DeepSeek's rule", 'few moves: 5%', 'few moves: 500', 'any moves', 'oracle']
    """
    ours: dict[str, Policy] = {
        f"few moves: {_budget_in_words(most)}": FewMoves(most, 0.0, forecast) for most in budgets
    }
    ours["any moves"] = FewMoves(1.0, 0.0, forecast)
    if interval_seconds is not None:
        ours = {name: WhenWorth(policy, interval_seconds, costs) for name, policy in ours.items()}
    return {"never": Never(), "DeepSeek's rule": DeepSeekRule(), **ours, ORACLE: Oracle()}


def summary(replays: dict[str, Replay], trace: Loads, run: Run) -> dict[str, Any]:
    """Return what each policy gained and cost, in all and window by window."""
    served = trace.windows - run.window
    decisions = -(-served // run.interval)
    slots = trace.layers * run.cluster.live_slots
    return {
        "trace": run.recording or "synthetic sample",
        "synthetic": run.recording is None,
        "windows": trace.windows,
        "layers": trace.layers,
        "experts": trace.experts,
        "cluster": asdict(run.cluster),
        "slots": run.cluster.slots,
        "redundant": run.cluster.live_slots - trace.experts,
        "groups": run.asked["groups"],
        "locality": checked_locality(run.asked["locality"], run.asked["off_node"], run.asked["groups"])[0],
        "off_node": run.asked["off_node"],
        "effort": run.asked["effort"],
        "window": run.window,
        "interval": run.interval,
        "forecast": run.forecast,
        "interval_seconds": run.interval_seconds,
        "served": served,
        "decisions": decisions,
        "costs": asdict(run.costs),
        "report": str(run.report) if run.report else None,
        "png": str(run.png) if run.png else None,
        "policies": {
            name: {
                **replay.totals(),
                "moved_share": replay.totals()["moves"] / (decisions * slots),
                "by_window": {column: values.tolist() for column, values in replay.columns().items()},
            }
            for name, replay in replays.items()
        },
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_line(f"trace {summary['trace']}" + (", in DeepSeek-V3's shape" if summary["synthetic"] else ""))
    print_line()
    print_pairs(what_was_replayed(summary))
    print_line()
    print_table(*policies_table(summary))
    print_line()
    if summary["tokens"]:
        print_table(*times_table(summary))
        print_line()
    print_line("PAR is peak / mean GPU load, mean over the layers; worst is the worst window.")
    print_line("Moved is the share of slots at a decision; bytes and stall are of all together.")
    print_what_times_are(summary["cost"], summary["beyond"])
    print_line("All start with a plan of the first windows. The oracle alone knows what comes.")
    print_files({summary["report"]: "report", summary["png"]: "picture"})


def what_was_replayed(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the shape of the trace, the cluster and the settings by name; a line without one belongs to the last."""
    interval, window = counted(summary["interval"], "window"), counted(summary["window"], "window")
    within, between = (size_in_words(int(summary["costs"][link])) for link in ("within_nodes", "between_nodes"))
    return [
        ("shape", shape_in_words(summary)),
        ("cluster", cluster_in_words(summary["cluster"])),
        ("", f"{summary['slots']} slots for a layer, {summary['redundant']} of them redundant"),
        ("groups", groups_in_words(summary["groups"], summary["locality"])),
        *groups_of_model_in_words(summary),
        ("effort", summary["effort"]),
        ("decisions", f"{summary['decisions']}, by the last {window}, for {interval} each"),
        ("forecast", _forecast_in_words(summary["forecast"])),
        *_worth_in_words(summary["interval_seconds"]),
        ("routing", summary["routing"]),
        ("an expert", size_in_words(summary["costs"]["expert_bytes"])),
        ("links of a GPU", f"{within}/s within its node, {between}/s to others"),
        *cost_in_words(summary["cost"]),
    ]


def _forecast_in_words(forecast: Method) -> str:
    return "auto: for each layer, by backtest at every decision" if forecast == AUTO else forecast


def _worth_in_words(seconds: float | None) -> list[tuple[str, str]]:
    return (
        [] if seconds is None else [("moves", f"only what saves more time than it takes in {seconds:g} s of experts")]
    )


def policies_table(summary: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and a row for each policy."""
    head = ("policy", "PAR", "worst", "moved", "between nodes", "within", "stall")
    return head, [(name, *_policy_row(policy)) for name, policy in summary["policies"].items()]


def times_table(summary: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and a row for each policy, of layer times; no rows where none were asked for."""
    tokens = summary["tokens"]
    head = (TIME_HEAD, *(tokens_in_words(number) for number in tokens))
    names = summary["policies"] if tokens else {}
    return head, [(name, *(microseconds(_time(policy, n)) for n in tokens)) for name, policy in names.items()]


def _time(policy: dict[str, Any], tokens: int) -> dict[str, float]:
    return {"mean": policy[f"layer_time_{tokens}"], "error": policy[f"layer_time_error_{tokens}"]}


def _policy_row(policy: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{policy['par']:.4f}",
        f"{policy['worst_par']:.4f}",
        f"{policy['moved_share']:.1%}",
        size_in_words(policy["bytes_between"]),
        size_in_words(policy["bytes_within"]),
        f"{policy['stall_seconds']:.3f} s",
    )


def _budget_in_words(most: float) -> str:
    return f"{most:.4g}" if isinstance(most, int) else f"{100 * most:.4g}%"
