"""What users wait for, beside an earlier version: each in processes of its own, in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from equipoise import InputError

HERE = Path(__file__).parents[1]

# Each prints its seconds, and the mean PAR that they were for. What is timed is done once before, for compiling.
FORECAST = """
import json, sys, time
import numpy
from equipoise import Cluster, balance, plan
try:
    from equipoise import forecast, synthetic_trace
except ImportError:  # as it was called before
    from equipoise.forecast import forecast
    from equipoise.traces import synthetic_trace
windows = int(sys.argv[1])
trace = synthetic_trace("slow", windows=windows + 100, layers=58, experts=256).counts.astype(numpy.int64)
cluster = Cluster(gpus=32, slots_per_gpu=9)
for _ in range(2):
    start = time.perf_counter()
    result = plan(forecast(trace[:windows], cluster).scenarios, cluster)
    seconds = time.perf_counter() - start
print(json.dumps([seconds, float(balance(result.placement, trace[windows:]).par.mean())]))
"""
REPLAN = """
import json, sys, time
import numpy
from equipoise import Cluster, plan
gpus, slots = map(int, sys.argv[1:])
random = numpy.random.RandomState(0)
earlier = random.lognormal(10, 1, (61, 384)).astype(numpy.int64)
now = (earlier * random.lognormal(0, 0.3, earlier.shape)).astype(numpy.int64)
cluster = Cluster(gpus=gpus, slots_per_gpu=slots // gpus)
live = plan(earlier, cluster).placement
for _ in range(2):
    start = time.perf_counter()
    result = plan(now, cluster, current=live)
    seconds = time.perf_counter() - start
print(json.dumps([seconds, float(result.par.mean())]))
"""
COMMAND = """
import json, subprocess, sys, time
for _ in range(2):
    start = time.perf_counter()
    command = [sys.executable, "-c", "from equipoise.cli import app; app()", "plan", "--json"]
    said = subprocess.run(command, check=True, capture_output=True).stdout
    seconds = time.perf_counter() - start
print(json.dumps([seconds, json.loads(said)["par"]["mean"]]))
"""


@dataclass(frozen=True)
class Wait:
    """Something that a user waits for: a program, and its arguments."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()


WAITS = (
    Wait("forecast from 1,000 windows and plan, 58 x 256 on 32 GPUs", FORECAST, ("1000",)),
    Wait("forecast from 16 windows and plan, 58 x 256 on 32 GPUs", FORECAST, ("16",)),
    Wait("re-plan 61 x 384 in 512 slots on 128 GPUs", REPLAN, ("128", "512")),
    Wait("re-plan 61 x 384 in 1,024 slots on 512 GPUs", REPLAN, ("512", "1024")),
    Wait("equipoise plan, of the sample, from start to end", COMMAND),
)


@dataclass(frozen=True)
class Waited:
    """How long a version made its user wait, and what for.

    Attributes
    ----------
    version : str
        "this", or the folder of another.
    ms : float
        Median over the rounds.
    par : float
        Mean PAR: of forecasts, on windows that came next.
    times_this : float
        The time in units of this version's.
    """

    wait: str
    version: str
    ms: float
    par: float
    times_this: float


def time_waits(beside: Path, rounds: int, waits: tuple[Wait, ...] = WAITS) -> list[Waited]:
    """Return the times of this version, and of that in another folder.

    Raises
    ------
    InputError
        If that folder holds no version.
    """
    if not (beside / "src" / "equipoise").is_dir():
        raise InputError(f"{beside} has no src/equipoise; expected a checkout of an earlier version")
    versions = {"this": HERE, str(beside): beside.resolve()}
    return [one for wait in waits for one in _compare(versions, wait, rounds)]


def _compare(versions: dict[str, Path], wait: Wait, rounds: int) -> list[Waited]:
    runs: dict[str, list[tuple[float, float]]] = {version: [] for version in versions}
    for _ in range(rounds):
        for version, checkout in versions.items():
            runs[version].append(_run(checkout, wait))
    ms = {version: 1000 * median(seconds for seconds, _ in some) for version, some in runs.items()}
    return [Waited(wait.name, version, ms[version], runs[version][0][1], ms[version] / ms["this"]) for version in ms]


def _run(checkout: Path, wait: Wait) -> tuple[float, float]:
    """Return the seconds and the PAR of a program, by the version in a folder."""
    command = [sys.executable, "-c", wait.program, *wait.arguments]
    where = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    seconds, par = json.loads(subprocess.run(command, check=True, capture_output=True, env=where).stdout)
    return seconds, par
