"""Which forecast would have served best: plans made for the past, judged by what came after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.forecasting.together import plan_together
from equipoise.loads import Loads
from equipoise.planning.effort import SETTINGS
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from equipoise.planning.request import Request
    from equipoise.planning.scenarios import Scenarios

# How often the past is cut in two, a past to plan by and what came then: the latest cuts are the most like now.
MOST_CUTS = 4
# Nor need plans for the past be any closer to their bound than this: what came then was not what they were made for.
TOLERANCE = 0.01


def backtest(
    loads: Loads, request: Request, methods: Mapping[str, Callable[[Loads], Scenarios]], ahead: int
) -> dict[str, NDArray[np.float64]]:
    """Return the PAR of every method, float64 ``[cuts, layers]``, on the windows after each cut.

    Half of the windows, and at least one, are always left to plan by; where there are too few, nothing is tested. Plans
    are made from nothing, with the groups that never leave their nodes, and any number of replicas. GPUs that are dead
    now were alive then.
    """
    cuts = cuts_of(loads.windows, ahead)
    if not cuts:
        return {}
    asked = _asked_then(request)
    pasts = [Loads(loads.counts[:now]) for now in cuts]
    came = [Loads(loads.counts[now : now + ahead]) for now in cuts]
    expected = [method(past).folded(asked.settings.windows) for method in methods.values() for past in pasts]
    placements = plan_together(expected, _first(expected[len(cuts) - 1 :: len(cuts)], asked), asked)
    par = [balance(*one).par.mean(axis=0) for one in zip(placements, len(methods) * came, strict=True)]
    return dict(zip(methods, np.reshape(par, (len(methods), len(cuts), loads.layers)), strict=True))


def cuts_of(windows: int, ahead: int) -> range:
    """Return before which windows the past is cut, the latest first; nowhere where there are too few."""
    last = windows - ahead
    return range(last, max(last - MOST_CUTS, (windows - 1) // 2), -1)


def _first(earliest: list[Scenarios], asked: Request) -> Scenarios | None:
    """Return what to begin all other plans with, of what was expected at the earliest cut: no later one has seen less.

    Nothing where groups never leave their nodes: they would all stay where the first plan has them.
    """
    several = [one for one in earliest if one.windows > 1]
    return several[0] if several and not asked.strict else None


def _asked_then(request: Request) -> Request:
    """Return what is asked of a plan for the past: from nothing, fast, and of all GPUs."""
    return replace(
        request,
        cluster=replace(request.cluster, dead=()),
        groups=request.kept_groups,
        locality="strict" if request.kept_groups > 1 else "none",
        off_node=0.0,
        current=None,
        min_replicas=1,
        across="gpus",
        settings=replace(SETTINGS["fast"], tolerance=TOLERANCE),
    )


def choose(tested: dict[str, NDArray[np.float64]], first: str, layers: int) -> tuple[str, ...]:
    """Return for each layer the method of least expected PAR; the first, unless another is better by no accident.

    A few cuts of one layer say little, and all layers together say what a method is worth on this traffic. So the
    difference to the first method that is expected in a layer lies between what was seen there and the mean over all
    layers: the nearer to what was seen, the more layers differ, and the less the cuts of one layer do (the estimator of
    James and Stein).
    """
    if not tested or len(tested[first]) == 1:
        return (first,) * layers
    names = [first, *(name for name in tested if name != first)]
    expected = np.array([_expected(tested[name] - tested[first]) for name in names])
    return tuple(names[i] for i in expected.argmin(axis=0))


def _expected(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the difference of PAR to expect in each layer, from those seen ``[cuts, layers]``."""
    cuts, layers = difference.shape
    seen, mean = difference.mean(axis=0), difference.mean()
    accident = difference.var(axis=0, ddof=1).mean() / cuts
    between = max(float(seen.var()) - accident, 0.0)
    trust = between / (between + accident) if between > 0 else 0.0
    doubt = 2 * np.sqrt(accident / layers)
    return np.asarray(mean + trust * (seen - mean) + doubt)
