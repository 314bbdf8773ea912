"""Cold start: seconds from process start, in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

RUNS = 5
IMPORT = "import equipoise"
PLAN = """
import numpy, equipoise
loads = numpy.random.RandomState(0).lognormal(10, 1, (58, 256)).astype(int)
equipoise.plan(loads, equipoise.Cluster(gpus=32, nodes=4, slots_per_gpu=9), groups=8)
"""


def cold_start() -> dict[str, float]:
    """Return the median seconds of an import, and of a first plan with an empty and a warm compile cache."""
    with TemporaryDirectory() as warm:
        _seconds(PLAN, warm)
        return {
            "import equipoise": median(_seconds(IMPORT, warm) for _ in range(RUNS)),
            "first plan, empty compile cache": median(_seconds_without_cache() for _ in range(RUNS)),
            "first plan, warm compile cache": median(_seconds(PLAN, warm) for _ in range(RUNS)),
        }


def _seconds_without_cache() -> float:
    with TemporaryDirectory() as empty:
        return _seconds(PLAN, empty)


def _seconds(code: str, cache: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
    return perf_counter() - start
