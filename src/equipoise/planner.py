"""plan(): from expert loads to a placement, and the proof of how good it is.

Every layer is planned by itself. Three steps, each a file of :mod:`equipoise.solver`, make a first placement:

1. **group**: expert groups to nodes, so that the largest node load is least;
2. **replicate**: replica counts, each further replica to the expert whose replicas are the heaviest;
3. **pack**: replicas to GPUs, heaviest first, each to the least loaded GPU that can take it.

Then it is **refined** by one of two searches: transfers of replicas from cold experts to hot ones, and swaps, lower the
peak of one load; relief lowers pressure, over several windows and at a price. From a placement that is live, relief
alone leads to a better one with few moves; and from one whose groups are each on one node it leads, where they may be
served elsewhere too, to one that is balanced across the nodes. Where a router will fill, every GPU is given its spares
after that (:mod:`equipoise.planning.spares`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.cluster import Cluster
from equipoise.forecasting.forecast import AUTO, expect
from equipoise.planning.finding import find
from equipoise.planning.plan import Plan
from equipoise.planning.request import Request
from equipoise.planning.samples import shrunk, trust
from equipoise.planning.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from equipoise.forecasting.forecast import Method
    from equipoise.loads import Loads
    from equipoise.placement import Across, Locality, Placement
    from equipoise.planning.effort import Effort
    from equipoise.planning.request import PlannedRouting


def plan(
    loads: Loads | Scenarios | ArrayLike,
    cluster: Cluster,
    *,
    forecast: Method = AUTO,
    groups: int | None = None,
    locality: Locality | None = None,
    off_node: float | None = None,
    current: Placement | None = None,
    max_moves: float | None = None,
    min_gain: float = 0.0,
    min_replicas: int = 1,
    across: Across = "gpus",
    routing: PlannedRouting = "even",
    effort: Effort = "default",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Decide where every expert lives, so that the largest GPU load of each layer is as small as possible.

    Of several windows it is the mean of their largest GPU loads that is made small, not the largest GPU load of their
    mean: experts that run hot in the same windows do not share a GPU.

    Counts of few selections are trusted as far as their spread is more than chance (:mod:`equipoise.planning.samples`);
    what is said of the plan is of the counts themselves.

    The same input gives the same placement, bit for bit, in any process and with any number of workers.

    Parameters
    ----------
    loads : Loads, Scenarios or array_like, ``[windows, layers, experts]`` or fewer axes
        Recorded expert loads, the oldest window first; or scenarios, which are planned for as they are.
    cluster : Cluster
        The GPUs and their slots.
    forecast : str
        What of several recorded windows to plan for: "auto" for what would have served best in the past, or one of the
        methods of :func:`equipoise.forecast`. More windows than the effort allows are folded, as
        :meth:`equipoise.Scenarios.folded` does.
    groups : int
        Expert groups (blocks of consecutive experts), equally many at home on each node; 1 for models without them. If
        not given, those of ``current``, and its locality unless another is given.
    locality : "strict", "soft" or "none", optional
        Whether every replica stays on its group's home node (strict, what is done if nothing says otherwise), may live
        on another where that lowers the peak (soft), or whether groups do not matter (none).
    off_node : float, optional
        Share of the load of all layers that may be served off its home node, 0 to 1; makes the locality soft, and
        strict where it is 0.
    current : Placement, optional
        The placement that is live, to start from: experts stay where they are, in their slots, unless a move pays. Its
        cluster may be another; GPUs are known by their numbers, and -1 is an empty slot.
    max_moves : int or float, optional
        Moves to make from ``current`` at most: a number for all layers together, or, as a float from 0 to 1, a share
        of all live slots. More are made only where they are required. Spent on the layers where they gain most.
    min_gain : float
        Share by which the mean PAR must fall; otherwise nothing moves but what is required.
    min_replicas : int
        On how many different GPUs, or nodes, every expert must be at least: one fewer can fail, and no expert is lost.
        Replicas that ``current`` lacks are required moves. It is not part of the placement: a re-plan is told again.
    across : "gpus" or "nodes"
        What ``min_replicas`` counts. Several nodes contradict groups that each stay on one.
    routing : "even" or "filled"
        Whether replicas will share their load evenly, as in engines, or a router fills: then every GPU gets as many
        primaries and spares as any other, to within one and as near as slots and moves allow, and PAR is that of the
        exact fill.
    effort : "fast", "default" or "thorough"
        Stop at swaps, try some transfers of replicas too, or try many more.
    workers : int, optional
        Threads to plan layers in; as many as pay off on the CPU cores of this process if not given.
    progress : callable, optional
        Called as ``progress(done, of how many)``: for the plans of the past that choose a forecast, then for the layers
        that are finished, by the thread that did them.

    Returns
    -------
    Plan
        Valid: every expert has a replica, no expert is twice on a GPU wherever that can be avoided.

    Raises
    ------
    InputError
        If the loads are not valid or zero throughout, the slots too few, a division impossible, or settings contradict
        each other.

    Examples
    --------
    >>> from equipoise import Cluster, plan
    >>> result = plan([[60, 20, 20, 20]], Cluster(gpus=2, slots_per_gpu=3))
    >>> result.placement.logcnt.tolist()
    [[2, 2, 1, 1]]
    >>> result.peak.tolist(), result.bound.tolist()
    ([60.0], [60.0])
    >>> later = plan([[20, 20, 60, 20]], result.placement.cluster, current=result.placement, max_moves=1)
    >>> later.peak.tolist(), later.moves.tolist()
    ([60.0], [1])
    """
    request = Request.checked(
        loads,
        cluster,
        groups=groups,
        locality=locality,
        off_node=off_node,
        current=current,
        max_moves=max_moves,
        min_gain=min_gain,
        min_replicas=min_replicas,
        across=across,
        effort=effort,
        workers=workers,
        progress=progress,
        routing=routing,
    )
    expected = expect(request, forecast)
    planned = request.serving(expected.scenarios)
    return Plan.of(planned, expected, find(_as_far_as_trusted(planned, request.loads)))


def _as_far_as_trusted(planned: Request, recorded: Loads | Scenarios) -> Request:
    """Return the request for what was recorded, as far as so many selections are to be trusted.

    What is served off its node is capped as it was counted, and scenarios are planned for as they are.
    """
    if isinstance(recorded, Scenarios) or planned.soft:
        return planned
    return planned.serving(shrunk(planned.expected, trust(recorded)))


def warm_up(
    replanning: bool = True, windows: int = 1, routing: PlannedRouting = "even", across: Across = "gpus"
) -> None:
    """Compile the loops that planning for one window, and for several, needs, and those of replanning if wanted.

    That takes 10 to 40 seconds once, and a tenth of a second in every later process. ``equipoise warm-up`` does it for
    all that commands and plug-ins do.

    Parameters
    ----------
    replanning : bool
        Whether there will be a live placement, a dead GPU or soft locality.
    windows : int
        Windows that will be recorded; a forecast may make one of several.
    routing : "even" or "filled"
        What will be planned for.
    across : "gpus" or "nodes"
        What every expert will have to be on several of, if any.
    """
    for number in {1, min(windows, 2)}:
        loads = Scenarios(number * [[[1, 1]]])
        tiny = plan(loads, Cluster(gpus=2, nodes=2), groups=2, routing=routing).placement
        if replanning:
            plan(loads, tiny.cluster, groups=2, current=tiny, routing=routing)
        if across == "nodes":
            plan(loads, Cluster(gpus=2, nodes=2, slots_per_gpu=2), min_replicas=2, across=across, routing=routing)
