"""How well a fitted cost foretells measured times, and whether slots chosen by it were the right ones.

The timings are not shipped. Costs are fitted on traffic that was planned for (``same``), and tested on traffic that had
shifted (``shift``) and on other placements (``spares``), which nothing was tried on: neither the tiles nor the scatter.
All have cases ``tokens [cases, gpus, slots]`` and ``microseconds [cases, gpus]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise import ExpertCost, InputError
from equipoise.sizing.recommending import fewest_slots
from equipoise.timing.layer_time import slowest_gpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray]

FILES = {"timings": "h100_grouped_gemm.npz", "spares": "h100_spares.npz"}
FITTED, TESTED = "same", "shift"
CHOICES = ((8, "even"), (9, "even"), (9, "local"), (10, "even"), (10, "local"))
DRAWS = 1000


@dataclass(frozen=True)
class Foretold:
    """Relative errors on timings that a cost was not fitted on, root mean square.

    Attributes
    ----------
    cost, tested : str
        What was fitted, and what it was tested on.
    gpu : float
        Of each GPU's time.
    slowest, with_residual, with_scatter : float
        Of the slowest GPU's: the largest of the expected times, and the expected largest of times that differ from them
        by the residual or by the scatter of the fit.
    """

    cost: str
    tested: str
    gpu: float
    slowest: float
    with_residual: float
    with_scatter: float


@dataclass(frozen=True)
class Chosen:
    """The slots and routing that a cost chooses for a batch, and how much longer they took than the best."""

    traffic: str
    tokens_per_gpu: int
    slots: int
    routing: str
    best_slots: int
    best_routing: str
    over_best: float


def read_timings(folder: Path, name: str) -> dict[str, NDArray]:
    """Return the measured cases of one of the files.

    Raises
    ------
    InputError
        If the folder lacks it.
    """
    path = folder / FILES[name]
    if not path.is_file():
        raise InputError(f"{path} is missing; expected the measured times of 32 GPUs' experts")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def fit_timings(timings: Arrays) -> ExpertCost:
    """Return the cost fitted on the traffic that was planned for."""
    fitted = timings["traffic"] == FITTED
    tokens = timings["tokens"][fitted]
    return ExpertCost.fit(tokens.reshape(-1, tokens.shape[2]), timings["microseconds"][fitted].ravel())


def foretell(timings: Arrays, spares: Arrays) -> list[Foretold]:
    """Return the errors of a line in tokens, and of the cost, on shifted traffic and on other placements."""
    shifted = timings["traffic"] == TESTED
    tests = {TESTED: {name: timings[name][shifted] for name in ("tokens", "microseconds")}, "spares": spares}
    costs = {"line in tokens": _line(timings), "equipoise": fit_timings(timings)}
    return [_foretold(cost, tested, costs[cost], tests[tested]) for tested in tests for cost in costs]


def choose_slots(timings: Arrays) -> list[Chosen]:
    """Return what the cost chooses for every traffic and batch."""
    cost = fit_timings(timings)
    expected = expected_slowest(cost.gpu_time(timings["tokens"]), cost.scatter)
    measured = timings["microseconds"].max(axis=1)
    found = []
    for traffic, batch, at in _situations(timings):
        foretold, taken = (
            {choice: float(time[case].mean()) for choice, case in at.items()} for time in (expected, measured)
        )
        chosen = fewest_slots(foretold, cost.residual)
        best = min(taken, key=taken.__getitem__)
        found.append(Chosen(traffic, batch, *chosen, *best, taken[chosen] / taken[best] - 1))
    return found


def expected_slowest(gpu_time: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Return the mean of the slowest GPU of each case, ``[cases]``, where GPUs differ by a relative spread."""
    rng = np.random.default_rng(0)
    return np.array([slowest_gpu(np.tile(time, (DRAWS, 1)), spread, rng).mean() for time in gpu_time])


def _line(timings: Arrays) -> ExpertCost:
    """Return the cost that knows nothing but how many tokens there are."""
    fitted = timings["traffic"] == FITTED
    tokens = timings["tokens"][fitted].sum(axis=2).reshape(-1, 1)
    times = timings["microseconds"][fitted].ravel().astype(np.float64)
    token, layer = np.polyfit(tokens[:, 0], times, 1, w=1 / times)
    return ExpertCost(layer=layer, token=token).judged(tokens, times)


def _foretold(name: str, tested: str, cost: ExpertCost, timings: Arrays) -> Foretold:
    expected, measured = cost.gpu_time(timings["tokens"]), timings["microseconds"]
    slowest = (expected_slowest(expected, spread) for spread in (0, cost.residual, cost.scatter))
    return Foretold(name, tested, _rms(expected / measured), *(_rms(time / measured.max(axis=1)) for time in slowest))


def _situations(timings: Arrays) -> Iterator[tuple[str, int, dict[tuple[int, str], NDArray[np.bool_]]]]:
    """Yield every traffic and batch, and which cases are of each choice of slots and routing."""
    for traffic in (FITTED, TESTED):
        for batch in np.unique(timings["tokens_per_gpu"]):
            here = (timings["traffic"] == traffic) & (timings["tokens_per_gpu"] == batch)
            at = {one: here & (timings["slots"] == one[0]) & (timings["routing"] == one[1]) for one in CHOICES}
            yield traffic, int(batch), at


def _rms(ratio: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((ratio - 1) ** 2)))
