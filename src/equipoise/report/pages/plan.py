"""The page about a plan: what it changes, what it costs, and how close to the best possible it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from equipoise.loads import Loads
from equipoise.planning.budget import ROUNDING
from equipoise.planning.layer_figures import layer_figures
from equipoise.report.figures.expert_loads import expert_loads
from equipoise.report.figures.gpu_loads import gpu_loads
from equipoise.report.figures.layer_experts import layer_experts
from equipoise.report.figures.layer_gpus import layer_gpus
from equipoise.report.figures.node_moves import node_moves
from equipoise.report.figures.par import layer_peaks, window_peaks
from equipoise.report.figures.window_heights import window_heights
from equipoise.report.pages.filled_section import filled_section
from equipoise.report.pages.forecast_section import forecast_section
from equipoise.report.pages.page import Number, Page, Section, Table, Windows
from equipoise.report.pages.times_section import time_number, times_section

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from equipoise.planning.plan import Plan
    from equipoise.timing.time_saved import TimeSaved

# What the sections say besides of a plan for several windows.
OF_WINDOWS = {
    "gpus": " Loads are the mean of the windows planned for; in each of them GPUs differ more.",
    "peaks": " Both are means over the windows planned for; the bound is that of plans made anew for each of them.",
    "experts": " Loads are the mean of the windows planned for.",
    "layer": " Loads are the mean of the windows planned for; each of them may have another busiest GPU, so that PAR, "
    "the mean over them, is higher than here.",
    "copies": " Loads are the mean of the windows planned for.",
}

# How the figures of a layer are printed; microseconds with one decimal.
FORMS = {
    "PAR before": ".4f",
    "PAR after": ".4f",
    "bound": ".4f",
    "gap": ".2%",
    "moves": "",
    "served off its node": ".1%",
}

AS_PRINTED = 5e-5  # a gap that four decimals do not show
MOST_WINDOWS = 16  # that a layer can be opened in: of 58 layers and 288 slots each takes 85 kB of the page


def plan_page(
    plan: Plan,
    loads: Loads,
    title: str,
    settings: Sequence[tuple[str, str]],
    command: str,
    times: Sequence[TimeSaved] = (),
) -> Page:
    """Return the page about a plan.

    Parameters
    ----------
    plan : Plan
        What was planned.
    loads : Loads
        What was recorded.
    title : str
        Which loads on which cluster.
    settings : sequence of pairs
        What was asked for, by name.
    command : str
        The command that writes the page.
    times : sequence of TimeSaved
        What a layer takes before and after, for some batches.
    """
    return Page(
        title=title,
        verdict=_verdict(plan),
        numbers=[*_numbers(plan), *([time_number(times[0])] if times else [])],
        sections=_sections(plan, loads, times),
        settings=settings,
        command=command,
        layers=plan.loads.layers,
        opened=int(plan.par.argmax()),
        windows=last_windows(plan, loads) if loads.windows > 1 else None,
    )


def last_windows(plan: Plan, loads: Loads) -> Windows:
    """Return the last recorded windows, in which a layer can be opened."""
    first = max(0, loads.windows - MOST_WINDOWS)
    return Windows(range(first, loads.windows), window_heights(plan, Loads(loads.counts[first:])))


def _sections(plan: Plan, loads: Loads, times: Sequence[TimeSaved]) -> list[Section]:
    copies, layers = plan.placement.logcnt, range(plan.loads.layers)
    sections = [
        Section(
            "gpus",
            "The load of every GPU",
            "A row is a layer, a column a GPU. Orange GPUs have more than the mean and are waited for; blue ones wait"
            f"{'; hatched ones are dead' if _any_dead(plan) else ''}. Lines part the nodes. Click a layer to open it.",
            [gpu_loads(plan)],
        ),
        Section(
            "peaks",
            "The peak of every layer",
            "PAR is the load of the busiest GPU divided by the mean; at 1 no GPU waits for another. No placement that "
            "the settings allow gets below the bound.",
            [layer_peaks(plan)],
            _layers_table(plan, times),
        ),
        *([_windows_section(plan, loads)] if loads.windows > 1 else []),
        *([times_section(times)] if times else []),
        *([filled_section(plan)] if plan.routing == "filled" else []),
        Section(
            "experts",
            "The load of every expert",
            "Each layer has its most loaded experts to the left.",
            [expert_loads(plan.loads, copies)],
        ),
        Section(
            "layer",
            "One layer opened",
            "Each column is a GPU, each block an expert in one of its slots, which it tells where the pointer is. The "
            "dashed line is the mean.",
            [layer_gpus(plan, layer) for layer in layers],
        ),
        Section(
            "copies",
            "The experts of that layer, and their copies",
            "The outer bar is the load of an expert, the inner one what each of its copies takes.",
            [layer_experts(plan.loads, layer, copies) for layer in layers],
        ),
        _moves_section(plan),
        *([forecast_section(plan.forecast)] if plan.forecast.tested else []),
    ]
    if not _for_windows(plan):
        return sections
    return [replace(section, text=section.text + OF_WINDOWS.get(section.name, "")) for section in sections]


def _for_windows(plan: Plan) -> bool:
    return plan.scenarios.windows > 1


def _verdict(plan: Plan) -> str:
    before, after = plan.mean_of(plan.par_before), plan.mean_of(plan.par)
    if not plan.mean.any():
        return "The loads are all zero: any placement serves them equally well."
    if plan.declined is not None:
        return (
            f"Not worth it: PAR would fall from {after:.4f} to {plan.declined:.4f}, less than was asked for, so that "
            f"nothing moves that need not."
        )
    average = "on average over the windows planned for" if _for_windows(plan) else "on average"
    best = _best_in_words(plan)
    if not plan.moves.any():
        return f"Nothing moves: the busiest GPU of a layer has {after:.4f} times the mean load {average}; {best}."
    change = "down from" if after < before else "up from"
    return f"The busiest GPU of a layer has {after:.4f} times the mean load {average}, {change} {before:.4f}; {best}."


def _best_in_words(plan: Plan) -> str:
    if plan.mean_of(plan.gap) < AS_PRINTED:
        return f"this is {_optimal_in_words(plan.mean_of(plan.gap))}"
    return f"no placement that the settings allow gets below PAR {plan.mean_of(plan.bound_on_par):.4f}"


def _numbers(plan: Plan) -> list[Number]:
    before, moves = plan.par_before, int(plan.moves.sum())
    mean_over, bound_of = "the layers", ""
    if _for_windows(plan):
        mean_over, bound_of = "windows and layers", "; the bound is that of plans made anew for every window"
    return [
        Number(
            "PAR before and after",
            f"{plan.mean_of(before):.4f} → {plan.mean_of(plan.par):.4f}",
            f"peak / mean GPU load, mean over {mean_over}; the worst layer {before.max():.4f} → {plan.par.max():.4f}",
        ),
        Number("bound on PAR", f"{plan.mean_of(plan.bound_on_par):.4f}", _gap_in_words(plan.gap, plan) + bound_of),
        Number("moves", f"{moves:,}", f"{plan.moved_share:.1%} of the slots get an expert that their GPU did not hold"),
    ]


def _gap_in_words(gap: NDArray[np.float64], plan: Plan) -> str:
    if gap.max() < AS_PRINTED:
        return f"PAR is there in every layer: {_optimal_in_words(gap.max())}"
    return f"proven: PAR cannot be less; it is {plan.mean_of(gap):.2%} above, {gap.max():.2%} in the worst layer"


def _optimal_in_words(gap: float) -> str:
    return "proven optimal" if gap <= ROUNDING else "proven optimal to four decimals"


def _any_dead(plan: Plan) -> bool:
    return bool(plan.before.cluster.dead or plan.placement.cluster.dead)


def _layers_table(plan: Plan, times: Sequence[TimeSaved]) -> Table:
    columns = layer_figures(plan, times)
    texts = [[format(value, FORMS.get(name, ".1f")) for value in values.tolist()] for name, values in columns.items()]
    rows = [(str(layer), *row) for layer, row in enumerate(zip(*texts, strict=True))]
    return Table("The figures of every layer", ("layer", *columns), rows, folded=True)


def _windows_section(plan: Plan, loads: Loads) -> Section:
    return Section(
        "windows",
        "The peak in every recorded window",
        "PAR, mean over the layers, if the placement had served the recording from which it was planned. What was not "
        "planned for, or with little weight, may be far from even.",
        [window_peaks(plan, loads)],
    )


def _moves_section(plan: Plan) -> Section:
    heading = "Moves from node to node"
    if not plan.moves.any():
        return Section("moves", heading, "Nothing moves: every GPU holds the experts that it needs already.")
    figure = node_moves(plan)
    moves = figure.layout.meta["label"]
    if figure.data[0].z.size == 1:
        return Section("moves", heading, f"There is one node alone: {moves}.")
    text = "Experts that GPUs of one node send to GPUs of another, over all layers; within a node on the diagonal."
    return Section("moves", heading, f"{text} {moves}.", [figure])
