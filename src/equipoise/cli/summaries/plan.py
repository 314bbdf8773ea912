"""The summary of a plan, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from equipoise.cli.summaries.doubts import doubts
from equipoise.cli.summaries.timing import (
    beyond_measured,
    cost_in_words,
    figures_saved,
    print_saved,
    print_what_times_are,
)
from equipoise.cli.summaries.words import (
    cluster_in_words,
    counted,
    groups_in_words,
    groups_of_model_in_words,
    shape_in_words,
)
from equipoise.cli.summaries.written import print_files
from equipoise.cli.terminal.console import print_line, print_pairs, print_table
from equipoise.cli.terminal.strip import print_strips
from equipoise.cluster import tied_groups
from equipoise.planning.samples import par_to_expect
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from equipoise.cli.terminal.stopwatch import Time
    from equipoise.loads import Loads
    from equipoise.planning.plan import Plan
    from equipoise.timing.time_saved import TimeSaved


LOST_PRINTED = 4
FORECASTS_PRINTED = 3
TOLD = 0.005  # a PAR to expect that is by so much another


@dataclass(frozen=True)
class Run:
    """The files, settings and times of a run that the plan itself does not know."""

    recording: str | None
    current: Path | None
    model: str | None
    groups_of_model: bool
    effort: str
    start: Time
    time: Time
    output: Path | None
    written: str | None
    csv: Path | None
    report: Path | None
    png: Path | None


def summary(plan: Plan, loads: Loads, run: Run, times: list[TimeSaved], cost: dict[str, Any] | None) -> dict[str, Any]:
    """Return what was planned and what came of it; PAR and its bounds are in units of the mean GPU load."""
    placement, cluster = plan.placement, plan.placement.cluster
    bounds = {locality: plan.times_mean(bound) for locality, bound in plan.bounds.items()}
    layers = {
        "par_before": plan.par_before,
        "par": plan.par,
        "bound": plan.bound_on_par,
        "gap": plan.gap,
    }
    return {
        "loads": run.recording or "synthetic sample",
        "synthetic": run.recording is None,
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "cluster": asdict(cluster),
        "slots": cluster.slots,
        "redundant": cluster.live_slots - loads.experts,
        "model": run.model,
        "groups": placement.groups,
        "groups_of_model": bool(run.model) and run.groups_of_model,
        "groups_before": plan.before.groups if run.current else None,
        "locality": plan.locality,
        "current": str(run.current) if run.current else None,
        "routing": plan.routing,
        "level_layers": int((plan.primaries_over == 0).sum()) if plan.routing == "filled" else None,
        "min_replicas": plan.request.min_replicas,
        "across": plan.request.across,
        "par_without_min_replicas": plan.mean_of(plan.par_without_min_replicas),
        "effort": run.effort,
        "forecast": plan.forecast.used(),
        "scenarios": plan.scenarios.windows,
        "backtest": {method: float(par.mean()) for method, par in plan.forecast.tested.items()},
        **{name: _mean_and_worst(values, plan) for name, values in layers.items()},
        "par_of_recorded": balance(placement, loads, routing=plan.routing).mean_par,
        "par_to_expect": par_to_expect(placement, loads, plan.routing),
        "doubts": doubts(loads),
        "bounds": {locality: plan.mean_of(bound) for locality, bound in bounds.items()},
        "off_node_share": plan.off_node_share,
        "off_node_excess": plan.off_node_excess,
        "experts_with_copies": float((placement.logcnt > 1).sum(axis=1).mean()),
        "duplicates": int(placement.duplicates.sum()),
        "moves": int(plan.moves.sum()),
        "moved_share": plan.moved_share,
        "required": int(plan.required.sum()),
        "lost": [{"layer": layer, "expert": expert} for layer, expert in plan.lost.tolist()],
        "declined_par": plan.declined,
        "cost": cost,
        "times": [figures_saved(time) for time in times],
        "milliseconds": run.time.milliseconds,
        "start_milliseconds": run.start.milliseconds,
        "compiling_milliseconds": run.start.compiling,
        "output": str(run.output) if run.output else None,
        "written": run.written,
        "csv": str(run.csv) if run.csv else None,
        "report": str(run.report) if run.report else None,
        "png": str(run.png) if run.png else None,
        "by_layer": {
            name: values.tolist()
            for name, values in (layers | {"moves": plan.moves, "off_node_share": plan.off_node}).items()
        },
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    print_pairs(what_was_planned(summary))
    print_line()
    print_strips({"PAR before": summary["by_layer"]["par_before"], "PAR after": summary["by_layer"]["par"]}, low=1.0)
    print_line()
    print_table(("", "mean", "worst", "layer"), _balance_rows(summary))
    print_line()
    if summary["times"]:
        print_saved(summary["times"], ("before", "after"))
        print_line()
    print_pairs(_what_it_takes(summary))
    print_line()
    for line in summary["doubts"]:
        print_line(line)
    if summary["scenarios"] == 1 and abs(summary["par_to_expect"] - summary["par"]["mean"]) > TOLD:
        expected = f"{summary['par_to_expect']:.4f}"
        print_line(f"Counts are samples: on more of the same traffic, PAR {expected} is to be expected.")
    if summary["declined_par"]:
        now = summary["par"]["mean"]
        print_line(f"Not worth it: PAR {now:.4f} to {summary['declined_par']:.4f}. Nothing moves that need not.")
    if summary["off_node_excess"]:
        print_line(
            f"{summary['off_node_excess']:.1%} of the load is served off its node beyond what was asked for: the slots "
            "of live GPUs at home leave no other choice."
        )
    if summary["min_replicas"] > 1:
        print_line(_replicas_in_words(summary))
    if summary["lost"]:
        print_line(f"No live GPU holds {_lost_in_words(summary['lost'])}: their weights must come from disk.")
    print_line("PAR is peak / mean GPU load; at 1, which is perfect, no GPU waits for another.")
    print_line("No placement that these settings allow gets below the bound.")
    if summary["scenarios"] > 1:
        print_line("Both are means over the windows planned for, the bound of a plan for each.")
        print_line(f"Over the recorded windows, all alike, it is {summary['par_of_recorded']:.4f}.")
    print_what_times_are(summary["cost"], beyond_measured(summary["times"]))
    files = {"output": summary["written"], "csv": "table of layers and GPUs", "report": "report", "png": "picture"}
    print_files({summary[option]: what for option, what in files.items()})


def _mean_and_worst(values: NDArray[np.float64], plan: Plan) -> dict[str, float | int]:
    worst = int(values.argmax())
    return {"mean": plan.mean_of(values), "worst": float(values[worst]), "worst_layer": worst}


def what_was_planned(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the loads, the cluster and the settings by name; a line without one belongs to the line before."""
    rows = [
        ("loads", summary["loads"] + (", in DeepSeek-V3's shape" if summary["synthetic"] else "")),
        ("", shape_in_words(summary)),
        ("cluster", cluster_in_words(summary["cluster"])),
        ("", f"{summary['slots']} slots for a layer, {summary['redundant']} of them redundant"),
        ("groups", groups_in_words(summary["groups"], summary["locality"])),
        *groups_of_model_in_words(summary),
        *_other_groups_in_words(summary),
        *_groups_that_tie_nothing(summary),
        *([("routing", "filled, and planned for that")] if summary["routing"] == "filled" else []),
        *([("replicas", _domains_in_words(summary))] if summary["min_replicas"] > 1 else []),
        ("effort", summary["effort"]),
        *_forecast_in_words(summary),
        *cost_in_words(summary["cost"]),
    ]
    return [*rows, ("current", summary["current"])] if summary["current"] else rows


def _other_groups_in_words(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Say what is asked otherwise than the current placement has it."""
    before = summary["groups_before"]
    return [] if before in (None, 1, summary["groups"]) else [("", f"the current placement has {before}")]


def _groups_that_tie_nothing(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Say why groups that were asked for do nothing, or nothing that an engine would do."""
    cluster, groups, experts = summary["cluster"], summary["groups"], summary["experts"]
    if groups == 1 or tied_groups(groups, experts, cluster["gpus"], cluster["nodes"]) > 1:
        return []
    if cluster["nodes"] == 1:
        return [("", "there is one node, on which they tie nothing; --nodes says that there are more")]
    why = "each is one expert" if groups == experts else "each node is one GPU"
    return [("", f"{why}: engines do not keep such groups together; --groups 1 balances without them")]


def _forecast_in_words(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is planned for, and the PAR that it would have had in the past; nothing of a single window."""
    if summary["windows"] == 1:
        return []
    used = [f"{method} in {counted(layers, 'layer')}" for method, layers in summary["forecast"].items()]
    others = len(used) - FORECASTS_PRINTED
    rows = [("forecast", ", ".join(used[:FORECASTS_PRINTED]) + (f", and {others} more" if others > 0 else ""))]
    if summary["backtest"]:
        best = sorted(summary["backtest"].items(), key=lambda tested: tested[1])[:FORECASTS_PRINTED]
        rows.append(("", "backtest PAR: " + ", ".join(f"{method} {par:.3f}" for method, par in best)))
    return rows


def _balance_rows(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    before = "with the current placement" if summary["current"] else "in the default layout"
    formats = {
        "par_before": (f"PAR before, {before}", ".4f"),
        "par": ("PAR after", ".4f"),
        "bound": ("bound on PAR", ".4f"),
        "gap": ("gap to the bound", ".2%"),
    }
    rows = ((words, summary[name], form) for name, (words, form) in formats.items())
    return [
        (words, format(values["mean"], form), format(values["worst"], form), str(values["worst_layer"]))
        for words, values, form in rows
    ]


def _what_it_takes(summary: dict[str, Any]) -> list[tuple[str, str]]:
    why = "of compiling, first run only" if summary["compiling_milliseconds"] else "of getting ready"
    back = ", the backtest of the forecasts included" if summary["backtest"] else ""
    required = f"; {summary['required']} of them required" if summary["required"] else ""
    rows = [
        ("experts with copies", f"{summary['experts_with_copies']:.1f} in a layer"),
        ("duplicates", f"{counted(summary['duplicates'], 'expert')} twice on a GPU"),
        ("moves", f"{summary['moves']}, {summary['moved_share']:.1%} of the slots{required}"),
        ("time", f"{summary['milliseconds']:.1f} ms{back}"),
        ("", f"after {summary['start_milliseconds'] / 1e3:.1f} s {why}"),
    ]
    if summary["routing"] == "filled":
        level = f"no GPU has more than need be in {summary['level_layers']} of {counted(summary['layers'], 'layer')}"
        rows.append(("primaries", level))
    if summary["groups"] > 1:
        bounds = ", ".join(f"{locality} {bound:.4f}" for locality, bound in summary["bounds"].items())
        rows += [
            ("served off its node", f"{summary['off_node_share']:.1%} of the load"),
            ("bound by locality", bounds),
        ]
    return rows


def _domains_in_words(summary: dict[str, Any]) -> str:
    """Return ``"every expert on 2 GPUs"``, or nodes."""
    units = {"gpus": "GPUs", "nodes": "nodes"}
    return f"every expert on {summary['min_replicas']} {units[summary['across']]}"


def _replicas_in_words(summary: dict[str, Any]) -> str:
    """Say what it costs that every expert has several replicas."""
    words = _domains_in_words(summary)
    return f"E{words[1:]}: PAR {summary['par']['mean']:.4f}, {summary['par_without_min_replicas']:.4f} without."


def _lost_in_words(lost: list[dict[str, int]]) -> str:
    """Return ``"expert 3 of layer 0 and 5 others"``."""
    named = ", ".join(f"expert {one['expert']} of layer {one['layer']}" for one in lost[:LOST_PRINTED])
    return named if len(lost) <= LOST_PRINTED else f"{named} and {counted(len(lost) - LOST_PRINTED, 'other')}"
