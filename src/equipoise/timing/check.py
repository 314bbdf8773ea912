"""Whether a cost foretells this machine's times of GPUs that it was not fitted on: those of random placements."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from equipoise.timing.measure import time_gpus
from equipoise.timing.points import popularity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from equipoise.timing.expert_cost import ExpertCost

GPUS = 8
TOKENS = (2, 16, 128, 512, 2048)  # of a slot, on average
SPREAD = 0.5


@dataclass(frozen=True)
class Checked:
    """The GPUs of a random placement, at one number of tokens.

    Attributes
    ----------
    slots : int
        Slots of each GPU.
    tokens : int
        Tokens of a slot, on average.
    predicted, measured : ndarray, ``[gpus]``
        Microseconds of each GPU.
    """

    slots: int
    tokens: int
    predicted: NDArray[np.float64]
    measured: NDArray[np.float64]

    @property
    def squared_error(self) -> float:
        """Relative error of a GPU's predicted time, squared, on average."""
        return float(np.mean((self.predicted / self.measured - 1) ** 2))


def check_placements(cost: ExpertCost, slots: Sequence[int], progress: Callable[[int, int], None]) -> list[Checked]:
    """Return what a cost predicts for the GPUs of random placements, and what they take on this machine.

    Parameters
    ----------
    cost : ExpertCost
        What was measured on this machine.
    slots : sequence of int
        Numbers of slots of a GPU: a placement for each.
    progress : callable
        Takes how many are done, and of how many.

    Raises
    ------
    InputError
        As :func:`equipoise.timing.measure.time_gpus` does.
    """
    rng = np.random.default_rng(1)
    cases = list(product(slots, TOKENS))
    placed = [random_placement(*case, rng) for case in cases]
    times = time_gpus([gpu for gpus in placed for gpu in gpus], cost.conditions, progress).reshape(-1, GPUS)
    found = zip(cases, placed, times, strict=True)
    return [Checked(*case, cost.gpu_time(gpus), measured) for case, gpus, measured in found]


def random_placement(slots: int, tokens: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the tokens of every slot of 8 GPUs, ``[gpus, slots]``, under a random placement.

    Experts differ in popularity. Where a GPU has several slots, there is one redundant slot for each; copies are of
    random experts, share their tokens evenly, and are anywhere. A GPU that got nothing gets one token.
    """
    everywhere = GPUS * slots
    experts = everywhere - (GPUS if slots > 1 else 0)
    copied = rng.choice(experts, everywhere - experts, replace=False)
    phy2log = rng.permutation(np.concatenate([np.arange(experts), copied]))
    load = tokens * everywhere / experts * popularity(SPREAD, experts, rng)
    drawn = np.asarray(rng.poisson((load / np.bincount(phy2log))[phy2log]).reshape(GPUS, slots))
    drawn[~drawn.any(axis=1), 0] = 1
    return drawn
