"""Which targets of a case a result misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cases import Case
    from benchmarks.compare import Result


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
    return found
