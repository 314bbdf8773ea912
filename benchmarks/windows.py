"""How long planning for several windows takes: all layers of the drifting mixture, on 1 to 16 windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.series import SERIES
from equipoise import plan

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.planning.effort import Effort

WINDOWS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Windowed:
    """Median time of a plan for so many windows, and its mean PAR on them."""

    effort: Effort
    windows: int
    ms: float
    par: float


def time_windows(folder: Path, efforts: list[Effort], rounds: int) -> list[Windowed]:
    """Plan the first windows of the mixture, all layers of it."""
    series = replace(next(series for series in SERIES if series.drifting), every=1)
    past, _ = next(series.walk(folder))
    found = []
    for effort in efforts:
        for windows in WINDOWS:
            shown = past[-windows:]
            result = plan(shown, series.cluster, effort=effort)
            seconds = []
            for _ in range(rounds):
                start = perf_counter()
                plan(shown.copy(), series.cluster, effort=effort)
                seconds.append(perf_counter() - start)
            found.append(Windowed(effort, windows, 1000 * median(seconds), float(result.par.mean())))
    return found
