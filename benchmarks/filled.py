"""Plans on past windows, served by filling: what each GPU makes of its own picks, and what all picks would allow.

Batches are drawn from the windows that came next. What a GPU's tokens pick differs from GPU to GPU: each expert's share
is off by a lognormal factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import VLLM
from equipoise import Placement, balance, plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.series import Series
    from equipoise import Cluster

FEW, MANY = 512, 8192  # picks of a GPU
SPREAD = 0.2  # of the logarithm of the factor


@dataclass(frozen=True)
class Filled:
    """Mean PAR on the windows ahead, of one plan for all.

    Attributes
    ----------
    planner : str
        Who planned.
    even : float
        Replicas share evenly.
    few, many : float
        Each GPU fills with its own 512 or 8,192 picks.
    every : float
        The exact fill, all picks known.
    """

    planner: str
    even: float
    few: float
    many: float
    every: float


def fill_ahead(series: Series, folder: Path, beside_peers: bool) -> list[Filled]:
    """Return what filling makes of each planner's plans on a series."""
    walked = list(series.walk(folder))
    planners = {"vLLM, sum": _vllm(series.cluster)} if beside_peers else {}
    planners["equipoise, for even"] = lambda past: plan(past, series.cluster).placement
    planners["equipoise, for filled"] = lambda past: plan(past, series.cluster, routing="filled").placement
    return [
        Filled(name, *np.mean([_served(planned(past), coming) for past, coming in walked], axis=0))
        for name, planned in planners.items()
    ]


def _vllm(cluster: Cluster) -> Callable[[NDArray[np.int64]], Placement]:
    """Return what plans by vLLM's planner, for the past added up."""
    vllm = VLLM()

    def planned(past: NDArray[np.int64]) -> Placement:
        return Placement(vllm.run(vllm.fresh(past.sum(axis=0)), cluster, 1).phy2log, cluster, past.shape[2])

    return planned


def _served(placement: Placement, coming: NDArray[np.int64]) -> list[float]:
    """Return the mean PAR of the windows that came, in the order of the columns."""
    shape = placement.layers, placement.cluster.gpus, placement.experts
    mix = np.random.default_rng(0).lognormal(0, SPREAD, shape)
    own = [balance(placement, coming, routing="filled", picks=picks, sources=mix) for picks in (FEW, MANY)]
    every = [balance(placement, coming), *own, balance(placement, coming, routing="filled")]
    return [float(found.par.mean()) for found in every]
