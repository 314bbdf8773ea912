"""Large clusters: time and peak memory, each planner in a process of its own."""

from __future__ import annotations

import resource
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.cases import Case
from benchmarks.compare import compare, timed
from benchmarks.peers import VLLM, load_peers, stub_packages
from benchmarks.planner import Equipoise, Planner

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.compare import Result
    from equipoise.planning.effort import Effort

SHAPES = {
    (61, 384): [Case("log-normal 61x384", None, 512, 128), Case("log-normal 61x384", None, 1024, 512)],
    (94, 128): [Case("log-normal 94x128", None, 192, 64)],
}


@dataclass(frozen=True)
class Scaled:
    """A result, with the memory of the process that reached it.

    Attributes
    ----------
    mib : float
        Peak resident memory of the whole process.
    added_mib : float
        How much of it came on top of the planner and what it imports, warmed up on a tiny case.
    """

    result: Result
    mib: float
    added_mib: float


def synthetic_counts(layers: int, experts: int) -> NDArray[np.int64]:
    """Return seeded log-normal loads, ``[layers, experts]``; about as skewed as real ones."""
    return np.random.RandomState(0).lognormal(10, 1, (layers, experts)).astype(np.int64)


def scale(peers: Path | None, efforts: list[Effort], rounds: int) -> list[tuple[Case, list[Scaled]]]:
    """Return the results of vLLM and of Equipoise on every large case."""
    if peers:
        stub_packages(peers)  # refuses a wrong folder before any process starts
    planners: list[Planner] = [*([VLLM()] if peers else []), *map(Equipoise, efforts)]
    return [
        (case, [_in_fresh_process(planner, peers, case, shape, rounds) for planner in planners])
        for shape, cases in SHAPES.items()
        for case in cases
    ]


def _in_fresh_process(planner: Planner, peers: Path | None, case: Case, shape: tuple[int, int], rounds: int) -> Scaled:
    """Measure in a process of its own: peak memory never falls, and only vLLM's should hold torch."""
    prepare = partial(load_peers, peers) if peers and isinstance(planner, VLLM) else None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=prepare) as process:
        return process.submit(_measure, planner, case, shape, rounds).result()


def _measure(planner: Planner, case: Case, shape: tuple[int, int], rounds: int) -> Scaled:
    timed(planner, Case("tiny", None, 8, 4), np.arange(1, 7)[None])
    before = _peak_mib()
    [result] = compare(case, synthetic_counts(*shape), [planner], rounds)
    return Scaled(result, _peak_mib(), _peak_mib() - before)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
