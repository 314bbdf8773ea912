"""forecast(): which windows stand for the traffic to come, and how well each does."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from equipoise.errors import check_choice, check_count, setting
from equipoise.forecasting.backtest import backtest, choose
from equipoise.forecasting.factors import follow_factors
from equipoise.planning.effort import DEVIATIONS
from equipoise.planning.forecast import Forecast
from equipoise.planning.request import Request
from equipoise.planning.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from equipoise.cluster import Cluster
    from equipoise.loads import Loads

Method = Literal["auto", "last", "sum", "average-1", "average-4", "deviation", "windows", "recent", "factors"]
AUTO: Method = "auto"
AS_GIVEN = "as given"  # what takes the place of a method where scenarios are planned for

# A window should hold enough to tell traffic from chance.
MOST_WINDOWS = 32
# What is chosen where nothing speaks for another.
FIRST = "recent"
# From each recent window to the one before it, the weight falls by this factor.
HALVED_IN_FOUR = sqrt(sqrt(0.5))


def forecast(
    loads: Loads | ArrayLike,
    cluster: Cluster,
    method: Method = AUTO,
    *,
    groups: int = 1,
    ahead: int = 1,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Say what to plan for, so that the plan is good for the windows that come next.

    ==========  =================================================================================
    last        the last window
    sum         all windows added up
    average-1   an average in which weights halve from each window to the one before it
    average-4   the same, but they halve every 4 windows
    deviation   the mean, and 0.67 standard deviations: what varies counts for more
    windows     every window may come again, one as well as another
    recent      every window may, and recent ones rather: weights halve every 4 windows
    factors     loads are mixtures of a few kinds of traffic, whose shares are followed one step on
    ==========  =================================================================================

    Parameters
    ----------
    loads : Loads or array_like, ``[windows, layers, experts]`` or fewer axes
        The windows of the past, the oldest first. Idle ones are left out, and of more than 32 neighbours are added up.
    cluster : Cluster
        What will be planned on.
    method : str
        One of the above, or "auto": for each layer the one that would have served best in the past, as far as that
        is no accident; see :mod:`equipoise.forecasting.backtest`. The same on every rank.
    groups : int
        Expert groups, each kept on a node.
    ahead : int
        Windows that the plan is to serve.
    workers : int, optional
        Threads to plan layers in.
    progress : callable, optional
        Called as ``progress(plans made, plans to make)``.

    Returns
    -------
    Forecast
        Its scenarios are what :func:`equipoise.plan` takes in place of loads.

    Raises
    ------
    InputError
        If the loads are not valid, the method is none of these, or the cluster cannot hold the experts.

    Examples
    --------
    >>> from equipoise import Cluster
    >>> past = [[[30, 10]], [[2, 18]]]
    >>> forecast(past, Cluster(gpus=2), "last").scenarios.counts.tolist()
    [[[2.0, 18.0]]]
    >>> forecast(past, Cluster(gpus=2), "windows").scenarios.weights.tolist()
    [[0.5], [0.5]]
    """
    request = Request.checked(loads, cluster, groups=groups, workers=workers, progress=progress)
    return expect(request, method, check_count(setting("ahead"), ahead))


def expect(request: Request, method: Method, ahead: int = 1) -> Forecast:
    """Return what a request is to be planned for, by one of the methods of :func:`forecast`; scenarios as they are."""
    check_choice(setting("forecast"), method, get_args(Method))
    if isinstance(request.loads, Scenarios):
        return Forecast(request.loads, (AS_GIVEN,) * request.loads.layers, {})
    past = request.loads.added_up(MOST_WINDOWS)
    if method != AUTO:
        return Forecast(METHODS[method](past), (method,) * past.layers, {})
    tested = backtest(past, request, METHODS, ahead)
    methods = choose(tested, FIRST, past.layers)
    return Forecast(_layer_by_layer(past, methods), methods, tested)


def _layer_by_layer(loads: Loads, methods: tuple[str, ...]) -> Scenarios:
    """Return scenarios made by another method in each layer."""
    made = {method: METHODS[method](loads) for method in dict.fromkeys(methods)}
    windows = max(scenarios.windows for scenarios in made.values())
    counts, weights = np.zeros((windows, *loads.counts.shape[1:])), np.zeros((windows, loads.layers))
    for layer, method in enumerate(methods):
        scenarios = made[method]
        counts[: scenarios.windows, layer] = scenarios.counts[:, layer]
        weights[: scenarios.windows, layer] = scenarios.weights[:, layer]
    return Scenarios(counts, weights)


def _weights(windows: int, fall: float) -> NDArray[np.float64]:
    """Return weights that fall by a factor from each window to the one before it, ``[windows]``.

    They are products: the last bit of a power depends on the processor, and ranks must agree.
    """
    return np.asarray(np.cumprod(np.append(1.0, np.full(windows - 1, fall)))[::-1])


def _average(loads: Loads, fall: float) -> Scenarios:
    return Scenarios(Scenarios(loads, _weights(loads.windows, fall)).mean)


def _deviation(loads: Loads) -> Scenarios:
    past = Scenarios(loads)
    return Scenarios(past.mean + DEVIATIONS * past.deviation)


METHODS: dict[str, Callable[[Loads], Scenarios]] = {
    "recent": lambda loads: Scenarios(loads, _weights(loads.windows, HALVED_IN_FOUR)),
    "windows": Scenarios,
    "last": lambda loads: Scenarios(loads.counts[-1]),
    "sum": lambda loads: Scenarios(loads.sum()),
    "average-1": lambda loads: _average(loads, 0.5),
    "average-4": lambda loads: _average(loads, HALVED_IN_FOUR),
    "deviation": _deviation,
    "factors": follow_factors,
}
