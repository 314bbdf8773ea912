"""Run the planners in turns on the same, fresh loads; measure balance, duplicates and time."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from equipoise import Placement, balance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.cases import Case
    from benchmarks.planner import Answer, Planner


@dataclass(frozen=True, eq=False)
class Turns:
    """What one planner did in its turns.

    Attributes
    ----------
    bound : ndarray or None, float64 ``[layers]``
        As the planner proved it.
    seconds : ndarray, float64 ``[rounds]``
        How long it took.
    vllm_seconds : ndarray or None, float64 ``[rounds]``
        How long vLLM took in the same rounds.
    """

    planner: str
    placement: Placement
    bound: NDArray[np.float64] | None
    seconds: NDArray[np.float64]
    vllm_seconds: NDArray[np.float64] | None


@dataclass(frozen=True)
class Result:
    """What one planner reached on one case.

    Attributes
    ----------
    par_mean, par_max : float
        PAR over the layers.
    bound : float or None
        Mean over the layers of bound / mean GPU load: no placement has a lower mean PAR.
    gap : float or None
        Mean over the layers of peak / bound - 1.
    duplicates : int
        Over all layers.
    ms : float
        Median over the rounds.
    times_vllm : float or None
        vLLM's time as a multiple of this planner's: the median over the rounds.
    """

    planner: str
    par_mean: float
    par_max: float
    bound: float | None
    gap: float | None
    duplicates: int
    ms: float
    times_vllm: float | None


def compare(case: Case, counts: NDArray[np.int64], planners: Sequence[Planner], rounds: int) -> list[Result]:
    """Return what each planner reaches on a case."""
    results = [judge(turns, counts) for turns in take_turns(case, counts, planners, rounds)]
    return [result for result in results if not repeats_vllm(result, results)]


def take_turns(case: Case, counts: NDArray[np.int64], planners: Sequence[Planner], rounds: int) -> list[Turns]:
    """Return what each planner answers and how long it takes; each warms up once, then they take turns."""
    answers = [timed(planner, case, counts)[0] for planner in planners]
    seconds = np.array([[timed(planner, case, counts)[1] for planner in planners] for _ in range(rounds)])
    names = [planner.name for planner in planners]
    vllm = seconds[:, names.index("vLLM")] if "vLLM" in names else None
    return [
        Turns(name, Placement(answer.phy2log, case.cluster, counts.shape[1]), answer.bound, seconds[:, i], vllm)
        for i, (name, answer) in enumerate(zip(names, answers, strict=True))
    ]


def repeats_vllm(result: Result, results: Sequence[Result]) -> bool:
    """Return whether this is SGLang's port of the algorithm that vLLM has too, with the same balance."""
    return result.planner == "SGLang deepseek" and any(
        other.planner == "vLLM" and np.isclose(other.par_mean, result.par_mean, rtol=1e-6) for other in results
    )


def timed(planner: Planner, case: Case, counts: NDArray[np.int64]) -> tuple[Answer, float]:
    """Return the planner's answer on a fresh copy of the loads, and its seconds."""
    loads = planner.fresh(counts)
    start = perf_counter()
    answer = planner.run(loads, case.cluster, case.groups)
    return answer, perf_counter() - start


def judge(turns: Turns, counts: NDArray[np.int64]) -> Result:
    """Return the result of one planner, judged by the same code as every other."""
    reached = balance(turns.placement, counts)
    bound = gap = None
    if turns.bound is not None:
        busy = reached.mean[0] > 0
        bound = float(np.mean(turns.bound[busy] / reached.mean[0, busy]))
        gap = float(np.mean(reached.peak[0, busy] / turns.bound[busy] - 1))
    vllm = turns.vllm_seconds
    return Result(
        planner=turns.planner,
        par_mean=float(reached.par.mean()),
        par_max=float(reached.par.max()),
        bound=bound,
        gap=gap,
        duplicates=int(turns.placement.duplicates.sum()),
        ms=1000 * float(np.median(turns.seconds)),
        times_vllm=None if vllm is None else float(np.median(vllm / turns.seconds)),
    )
