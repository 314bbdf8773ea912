"""Cold start: seconds from the start of fresh processes to their end, and what is compiled meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from equipoise import sample_loads

RUNS = 5
IMPORT = ["-c", "import equipoise"]
HELP = ["-m", "equipoise", "--help"]
WARM_UP = ["-m", "equipoise", "warm-up"]
CLUSTER = ["--gpus", "32", "--nodes", "4", "--redundant", "32"]
TOGETHER = 8


def cold_start() -> dict[str, float]:
    """Return the median seconds of an import, of help, and of plans with an empty and with a filled cache of loops."""
    with TemporaryDirectory() as folder:
        loads, kept = Path(folder) / "loads.npz", Path(folder) / "kept"
        np.savez(loads, counts=sample_loads().counts[:1])
        plan = ["-m", "equipoise", "plan", str(loads), *CLUSTER]
        _seconds(plan, kept)
        return {
            "import equipoise": median(_seconds(IMPORT, kept) for _ in range(RUNS)),
            "equipoise --help": median(_seconds(HELP, kept) for _ in range(RUNS)),
            "equipoise plan, one window": median(_seconds(plan, kept) for _ in range(RUNS)),
            "the same, nothing compiled": median(_from_nothing(plan) for _ in range(RUNS)),
            f"the same, {TOGETHER} processes at once": median(_from_nothing(plan, TOGETHER) for _ in range(RUNS)),
            "equipoise warm-up, nothing compiled": median(_from_nothing(WARM_UP) for _ in range(RUNS)),
        }


def _from_nothing(arguments: list[str], processes: int = 1) -> float:
    with TemporaryDirectory() as empty:
        return _seconds(arguments, Path(empty), processes)


def _seconds(arguments: list[str], kept: Path, processes: int = 1) -> float:
    """Return the seconds until as many processes, started together, have ended."""
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(kept)}
    start = perf_counter()
    command = [sys.executable, *arguments]
    several = [subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL) for _ in range(processes)]
    if any(process.wait() for process in several):
        raise RuntimeError(f"{' '.join(command)} failed")
    return perf_counter() - start
