"""Plan on past windows, judge by the windows that came next: every planner sees the same."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from benchmarks.peers import VLLM, SGLang
from benchmarks.planner import Answer
from equipoise import Placement, balance, plan
from equipoise.forecasting.forecast import Method

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.planner import Planner
    from benchmarks.series import Series
    from equipoise import Cluster
    from equipoise.planning.effort import Effort


@dataclass(frozen=True)
class Ahead:
    """What a planner reached on a series.

    Attributes
    ----------
    earlier, later : float
        Mean PAR ahead in the first half of the plans, on which settings may be tuned, and in the second, held out.
    par : float
        In both.
    ms_per_layer : float
        Median over the plans.
    """

    planner: str
    earlier: float
    later: float
    par: float
    ms_per_layer: float


@dataclass(frozen=True)
class Way:
    """A planner, and what of the past windows ``[windows, layers, experts]`` it is shown."""

    name: str
    planner: Planner
    shown: Callable[[NDArray[np.int64]], Any]


@dataclass(frozen=True)
class Forecasting:
    """Equipoise at one effort, by one forecast."""

    effort: Effort
    method: Method

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"equipoise {self.effort}, {self.method}"

    def fresh(self, past: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a new array."""
        return past.copy()

    def run(self, past: NDArray[np.int64], cluster: Cluster, groups: int) -> Answer:
        """Forecast, by a backtest if it is to choose, and plan."""
        result = plan(past, cluster, forecast=self.method, groups=groups, effort=self.effort)
        return Answer(result.placement.phy2log, result.bound)


def plan_ahead(series: Series, folder: Path, beside_peers: bool, efforts: list[Effort]) -> list[Ahead]:
    """Return what each planner reaches on a series; each has warmed up before it is timed."""
    walked = list(series.walk(folder))
    ours = [Forecasting(effort, method) for effort in efforts for method in get_args(Method)]
    ways = [*(_peers() if beside_peers else []), *(Way(one.name, one, one.fresh) for one in ours)]
    return [_judge(way, series, walked) for way in ways]


def _peers() -> list[Way]:
    """Return the peers by the last window, by the sum, or window by window as SGLang's does."""
    import torch

    vllm = VLLM()
    return [
        Way("vLLM, last", vllm, lambda past: vllm.fresh(past[-1])),
        Way("vLLM, sum", vllm, lambda past: vllm.fresh(past.sum(axis=0))),
        Way("SGLang deepseek_vec", SGLang("deepseek_vec"), torch.tensor),
    ]


def _judge(way: Way, series: Series, walked: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Ahead:
    par, seconds = [], []
    way.planner.run(way.shown(walked[0][0]), series.cluster, 1)
    for past, coming in walked:
        shown = way.shown(past)
        start = perf_counter()
        answer = way.planner.run(shown, series.cluster, 1)
        seconds.append(perf_counter() - start)
        par.append(float(balance(Placement(answer.phy2log, series.cluster, past.shape[2]), coming).par.mean()))
    half = len(par) // 2
    layers = walked[0][0].shape[1]
    return Ahead(
        planner=way.name,
        earlier=float(np.mean(par[:half])),
        later=float(np.mean(par[half:])),
        par=float(np.mean(par)),
        ms_per_layer=1000 * float(np.median(seconds)) / layers,
    )
