"""Series of windows to plan ahead on: what has been recorded, walked through in steps, and a drifting mixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.loads import read_counts
from equipoise import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

DRIFT_WINDOWS = 60
DRIFT_PERSISTENCE = 0.9
DRIFT_CONTRAST = 1.5
DRIFT_SELECTIONS = 400_000


@dataclass(frozen=True)
class Series:
    """Windows to plan on, and the windows that came next.

    Attributes
    ----------
    drifting : bool
        Whether the recorded windows are not in the order of time, and are mixed into a series that drifts.
    past, ahead : int
        Windows that a planner is shown, and windows after them that its plan is judged by.
    step : int
        Windows from one plan to the next.
    every : int
        Only every so many layers are planned.
    par : float
        Mean PAR on the windows ahead that Equipoise is to reach, at most.
    filled : tuple of float
        The same where it is filled, with 512 and 8,192 own picks and with all picks; none where it has no targets.
    """

    loads: str
    slots: int
    gpus: int
    past: int
    ahead: int
    step: int
    every: int
    par: float
    filled: tuple[float, ...] = ()
    drifting: bool = False

    @property
    def cluster(self) -> Cluster:
        """Where to place."""
        return Cluster(gpus=self.gpus, slots_per_gpu=self.slots // self.gpus)

    def __str__(self) -> str:
        mixed = ", drifting" if self.drifting else ""
        return f"{self.loads}{mixed} {self.slots}/{self.gpus}, {self.past} past, {self.ahead} ahead"

    def walk(self, folder: Path) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Give past and coming windows, ``[past or ahead, layers, experts]``, step by step."""
        recorded = read_counts(folder, self.loads)[:, :: self.every]
        counts = drifting_mixture(recorded) if self.drifting else recorded
        for first in range(0, len(counts) - self.past - self.ahead + 1, self.step):
            now = first + self.past
            yield counts[first:now], counts[now : now + self.ahead]


# Steps and layers are those of the figures that the peers are known to reach there.
SERIES = (
    Series(
        "switch_base_128_encoder_iters",
        144,
        16,
        past=16,
        ahead=4,
        step=10,
        every=1,
        par=1.069,
        filled=(1.041, 1.021, 1.010),
    ),
    Series("deepseek_v2_lite_esft", 80, 16, past=8, ahead=2, step=7, every=3, par=1.195, filled=(1.112, 1.093, 1.076)),
    Series("gpt_oss_20b_tasks", 48, 16, past=8, ahead=1, step=3, every=3, par=1.56, filled=(1.405, 1.390, 1.373)),
    Series("deepseek_v3_sglang_ep", 288, 32, past=16, ahead=4, step=4, every=7, par=1.038, drifting=True),
)


def drifting_mixture(recorded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Mix recorded windows, ``[windows, layers, experts]``, with weights that wander: a softmax of AR(1) walks."""
    random = np.random.RandomState(0)
    shares = recorded / recorded.sum(axis=2, keepdims=True)
    walk = random.standard_normal(len(recorded))
    counts = []
    for _ in range(DRIFT_WINDOWS):
        step = random.standard_normal(len(recorded))
        walk = DRIFT_PERSISTENCE * walk + np.sqrt(1 - DRIFT_PERSISTENCE**2) * step
        weight = np.exp(DRIFT_CONTRAST * walk)
        mixture = np.tensordot(weight / weight.sum(), shares, axes=1)
        counts.append(random.poisson(DRIFT_SELECTIONS * mixture))
    return np.array(counts, np.int64)
