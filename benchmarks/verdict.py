"""Which targets of a case a result misses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from equipoise.forecasting.forecast import AUTO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.ahead import Ahead
    from benchmarks.cases import Case
    from benchmarks.compare import Result
    from benchmarks.filled import Filled
    from benchmarks.layer_time import Chosen, Foretold
    from benchmarks.replanning import Replanned
    from benchmarks.replanning_cases import Replanning
    from benchmarks.series import Series

ROUNDING = 1e-9
# What choosing by backtest may cost in PAR, beside the method that turned out to be best.
WORSE_THAN_BEST = 0.01
# How far expected times may be off, and how much slower than the best the slots may be that are chosen by them.
GPU_ERROR, SLOWEST_ERROR, SLOWEST_ERROR_WITH_RESIDUAL = 0.06, 0.065, 0.05
NEAR_BEST, NEVER_OVER_BEST, NEAR_BEST_AT_LEAST = 0.03, 0.10, 12 / 14


def misses(case: Case, result: Result, results: Sequence[Result]) -> list[str]:
    """Return what a result of Equipoise misses, in words; ``[]`` for the peers, which have no targets.

    Fast effort is held to no figure but zero duplicates: it stops where the search that reaches them begins.
    """
    if not result.planner.startswith("equipoise"):
        return []
    found = ["duplicates"] if result.duplicates else []
    if result.planner == "equipoise fast":
        return found
    target = case.target
    thorough = result.planner == "equipoise thorough"
    par = target.thorough_par if thorough and target.thorough_par else target.par
    if par and result.par_mean > par:
        found.append(f"PAR > {par:g}")
    if target.over_bound and result.bound and result.par_mean > target.over_bound * result.bound:
        found.append(f"PAR > bound x {target.over_bound:g}")
    if any(other.planner == "vLLM" and result.par_mean > other.par_mean * (1 + 1e-9) for other in results):
        found.append("PAR > vLLM's")
    if not thorough and target.times_vllm and result.times_vllm and result.times_vllm < target.times_vllm:
        found.append(f"ms > vLLM's / {target.times_vllm:g}")
    if not thorough and target.ms and result.ms > target.ms:
        found.append(f"ms > {target.ms:g}")
    return found


def replanning_misses(replanning: Replanning, one: Replanned, found: Sequence[Replanned]) -> list[str]:
    """Return what a plan of Equipoise misses, in words: its targets, its limits, or what stricter limits reach.

    Moves that no plan can do without are made whatever the limit is. Where there are just as many, and every expert
    has a slot, each of them is of an expert that would have had none.
    """
    if one.ask is None:
        return []
    limits = one.ask.limits
    missed = misses(replace(replanning.case, target=one.ask.target), one.result, [one.result])
    if one.unplaced:
        missed.append(f"{one.unplaced} experts without a slot")
    if _exceeds(one.moved, limits.max_moves) and _exceeds(one.moved, one.required):
        missed.append("moved > max_moves")
    if _exceeds(one.off_node, limits.off_node):
        missed.append("off node > off_node")
    stricter = [other for other in found[: found.index(one)] if other.result.planner == one.result.planner]
    if any(one.result.par_mean > other.result.par_mean for other in stricter):
        missed.append("PAR > within stricter limits")
    return missed


def ahead_misses(series: Series, one: Ahead, found: Sequence[Ahead]) -> list[str]:
    """Return what Equipoise misses where it chooses the forecast itself; with the others it has no targets."""
    if not one.planner.startswith("equipoise") or not one.planner.endswith(AUTO):
        return []
    effort = one.planner.removesuffix(AUTO)
    best = min(other.par for other in found if other.planner.startswith(effort))
    missed = [f"PAR > {series.par:g}"] if one.par > series.par else []
    if one.par > best * (1 + WORSE_THAN_BEST):
        missed.append(f"PAR > {best:.4f} by more than {WORSE_THAN_BEST:.0%}")
    return missed


def filled_misses(series: Series, one: Filled) -> list[str]:
    """Return what Equipoise's plans miss where they are filled, in words."""
    if not one.planner.startswith("equipoise") or not series.filled:
        return []
    reached = {"512 own picks": one.few, "8,192 own picks": one.many, "all picks": one.every}
    targets = zip(reached, series.filled, strict=True)
    return [f"{name} > {most:g}" for name, most in targets if reached[name] > most]


def foretold_misses(one: Foretold) -> list[str]:
    """Return which errors of expected times are larger than they should be, in words."""
    errors = {
        "each GPU": (one.gpu, GPU_ERROR),
        "slowest GPU": (one.slowest, SLOWEST_ERROR),
        "with the residual": (one.with_residual, SLOWEST_ERROR_WITH_RESIDUAL),
    }
    return [f"{name} > {most:.1%}" for name, (error, most) in errors.items() if error > most]


def choice_misses(found: Sequence[Chosen]) -> list[str]:
    """Return what slots chosen by expected time miss, in words."""
    near = sum(one.over_best <= NEAR_BEST for one in found)
    missed = [] if near >= NEAR_BEST_AT_LEAST * len(found) else [f"{near} of {len(found)} within {NEAR_BEST:.0%}"]
    if any(one.over_best > NEVER_OVER_BEST for one in found):
        missed.append(f"over the best by more than {NEVER_OVER_BEST:.0%}")
    return missed


def _exceeds(share: float | None, most: float | None) -> bool:
    return share is not None and most is not None and share > most + ROUNDING
