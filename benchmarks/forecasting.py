"""How long a forecast and the plan for it take on as many steps as SGLang records; beside an earlier version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise import Cluster, InputError, Placement, balance, synthetic_trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parents[1]
AHEAD = 100  # windows that the plans are judged by

# Both versions can make a forecast by itself, but not from the same file. The first time is for compiling.
FORECAST = """
import json, sys, time
import numpy
from equipoise import Cluster, plan
try:
    from equipoise.forecasting.forecast import forecast
except ImportError:
    from equipoise.forecast import forecast
past, placement, gpus, slots = sys.argv[1:]
counts, cluster = numpy.load(past), Cluster(gpus=int(gpus), slots_per_gpu=int(slots))
for _ in range(2):
    start = time.perf_counter()
    found = forecast(counts, cluster)
    forecast_made = time.perf_counter()
    result = plan(found.scenarios, cluster)
    planned = time.perf_counter()
numpy.save(placement, result.placement.phy2log)
print(json.dumps([forecast_made - start, planned - forecast_made]))
"""


class Shape(NamedTuple):
    """What is recorded, and where it is planned for."""

    windows: int
    layers: int
    experts: int
    cluster: Cluster


SHAPES = (
    Shape(1000, 58, 256, Cluster(gpus=32, slots_per_gpu=9)),
    Shape(16, 58, 256, Cluster(gpus=32, slots_per_gpu=9)),
)


@dataclass(frozen=True)
class Forecasted:
    """What a version takes for so many windows, and what its plan reaches on those that came next.

    Attributes
    ----------
    version : str
        "this", or the folder of another.
    forecast_ms, plan_ms : float
        Median times in processes of their own.
    par : float
        Mean PAR on the windows ahead.
    times_this : float
        Both times together, in units of this version's.
    """

    version: str
    windows: int
    forecast_ms: float
    plan_ms: float
    par: float
    times_this: float


def time_forecasts(beside: Path | None, rounds: int, shapes: tuple[Shape, ...] = SHAPES) -> list[Forecasted]:
    """Return the times of this version, and of that in another folder, in turns.

    Raises
    ------
    InputError
        If that folder holds no version.
    """
    versions = {"this": HERE}
    if beside is not None:
        if not (beside / "src" / "equipoise").is_dir():
            raise InputError(f"{beside} has no src/equipoise; expected a checkout of an earlier version")
        versions[str(beside)] = beside.resolve()
    return [one for shape in shapes for one in _compare(versions, shape, rounds)]


def _compare(versions: dict[str, Path], shape: Shape, rounds: int) -> list[Forecasted]:
    trace = synthetic_trace("slow", windows=shape.windows + AHEAD, layers=shape.layers, experts=shape.experts).counts
    with TemporaryDirectory() as folder:
        past, planned = Path(folder, "past.npy"), Path(folder, "placement.npy")
        np.save(past, trace[: shape.windows].astype(np.int64))
        seconds: dict[str, list[list[float]]] = {version: [] for version in versions}
        par = {}
        for _ in range(rounds):
            for version, checkout in versions.items():
                seconds[version].append(_run(checkout, past, planned, shape.cluster))
                par[version] = _par_of(np.load(planned), trace[shape.windows :], shape.cluster)
    ms = {version: [1000 * median(part) for part in zip(*runs, strict=True)] for version, runs in seconds.items()}
    return [
        Forecasted(version, shape.windows, *ms[version], par[version], sum(ms[version]) / sum(ms["this"]))
        for version in versions
    ]


def _run(checkout: Path, past: Path, placement: Path, cluster: Cluster) -> list[float]:
    """Return the seconds of a forecast and of the plan for it, by the version in a folder."""
    arguments = str(past), str(placement), str(cluster.gpus), str(cluster.slots_per_gpu)
    command = [sys.executable, "-c", FORECAST, *arguments]
    where = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    found: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, env=where).stdout)
    return found


def _par_of(phy2log: NDArray[np.int64], coming: NDArray[np.float64], cluster: Cluster) -> float:
    return float(balance(Placement(phy2log, cluster, coming.shape[2]), coming).par.mean())
