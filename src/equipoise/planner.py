"""plan(): from expert loads to a placement, and the proof of how good it is.

Every layer is planned by itself, in four steps, each a file of :mod:`equipoise.solver`:

1. **group**: expert groups to nodes, so that the largest node load is least;
2. **replicate**: replica counts, each further replica to the expert whose replicas are the heaviest;
3. **pack**: replicas to GPUs, heaviest first, each to the least loaded GPU that can take it;
4. **refine**: swap replicas of the peak GPU and transfer replicas from cold experts to hot ones, while the peak falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Literal

import numpy as np

from equipoise.cluster import nearest_divisors
from equipoise.errors import InputError, check_count
from equipoise.loads import Loads
from equipoise.migration import count_moves
from equipoise.placement import Placement
from equipoise.threads import share_out, worthwhile_workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from equipoise.cluster import Cluster

Effort = Literal["fast", "default", "thorough"]


@dataclass(frozen=True)
class Settings:
    """How far an effort goes: limits of counted work, never of time, so that every run ends with the same plan.

    Attributes
    ----------
    tolerance : float
        A peak this close to its bound, as a share of it, is not lowered further.
    worth : float
        Nor is one this close by more than swaps, which cost little.
    tries : int
        Transfers of replicas that are tried before a layer is given up.
    kicks : int
        Transfers that are then made although they do not help, to search on from there.
    counts : int
        All replica counts are tried where there are at most so many.
    """

    tolerance: float
    worth: float
    tries: int
    kicks: int
    counts: int


SETTINGS = {
    "fast": Settings(tolerance=1e-3, worth=np.inf, tries=0, kicks=0, counts=0),
    "default": Settings(tolerance=2e-4, worth=7e-4, tries=10, kicks=0, counts=512),
    "thorough": Settings(tolerance=2e-5, worth=1e-4, tries=64, kicks=4, counts=8192),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """A placement, what it reaches, and how close to the best possible that is.

    Attributes
    ----------
    placement : Placement
        Where every expert is to live.
    before : Placement
        What moves are counted from: the engines' default layout.
    peak : ndarray, float64 ``[layers]``
        Largest GPU load under the loads planned for, in their unit.
    mean : ndarray, float64 ``[layers]``
        Mean GPU load.
    bound : ndarray, float64 ``[layers]``
        Proven lower limit on the peak of any placement that the settings allow.
    """

    placement: Placement
    before: Placement
    peak: NDArray[np.float64]
    mean: NDArray[np.float64]
    bound: NDArray[np.float64]

    @property
    def par(self) -> NDArray[np.float64]:
        """Peak / mean, ``[layers]``: 1 is perfect, and what an idle layer has."""
        return np.divide(self.peak, self.mean, out=np.ones_like(self.peak), where=self.mean > 0)

    @property
    def gap(self) -> NDArray[np.float64]:
        """Peak / bound - 1, ``[layers]``: what any better plan could gain at most."""
        return np.divide(self.peak, self.bound, out=np.ones_like(self.peak), where=self.bound > 0) - 1

    @property
    def moves(self) -> NDArray[np.int64]:
        """Experts that a GPU needs and did not hold ``before``, int64 ``[layers]``."""
        return count_moves(self.before, self.placement)


def plan(
    loads: Loads | ArrayLike,
    cluster: Cluster,
    *,
    groups: int = 1,
    effort: Effort = "default",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Decide where every expert lives, so that the largest GPU load of each layer is as small as possible.

    The same input gives the same placement, bit for bit, in any process and with any number of workers.

    Parameters
    ----------
    loads : Loads or array_like, ``[windows, layers, experts]`` or fewer axes
        Recorded expert loads; windows are added up.
    cluster : Cluster
        The GPUs and their slots.
    groups : int
        Expert groups (blocks of consecutive experts) that must each stay on one node; 1 for models without them.
    effort : "fast", "default" or "thorough"
        Stop at swaps, try some transfers of replicas too, or try many more.
    workers : int, optional
        Threads to plan layers in; as many as pay off on the CPU cores of this process if not given.
    progress : callable, optional
        Called as ``progress(layers done, layers)`` whenever some layers are finished, by the thread that did them.

    Returns
    -------
    Plan
        Valid: every expert has a replica, no expert is twice on a GPU wherever that can be avoided.

    Raises
    ------
    InputError
        If the loads are not valid, the slots too few, or a division impossible.

    Examples
    --------
    >>> from equipoise import Cluster, plan
    >>> result = plan([[60, 20, 20, 20]], Cluster(gpus=2, slots_per_gpu=3))
    >>> result.placement.logcnt.tolist()
    [[2, 2, 1, 1]]
    >>> result.peak.tolist(), result.bound.tolist()
    ([60.0], [60.0])
    """
    # Numba takes longer to import than all the rest; whoever only reads a placement should not wait for it.
    from equipoise.solver.layer import Limits, empty_workspace, plan_layers

    counts = (loads if isinstance(loads, Loads) else Loads(loads)).sum().counts[0]
    layers, experts = counts.shape
    _refuse_impossible(experts, cluster, groups, effort, workers)
    homes = cluster.nodes if groups > 1 else 1
    sizes = experts, groups, homes, cluster.gpus // homes, cluster.slots_per_gpu
    settings = SETTINGS[effort]
    all_counts = _ways_to_share(cluster.slots // homes, experts // homes) <= settings.counts
    limits = Limits(settings.tolerance, settings.worth, all_counts)
    phy2log = np.empty((layers, cluster.slots), np.int64)
    peak, bound = np.empty(layers), np.empty(layers)

    def begin() -> Callable[[slice], None]:
        work = empty_workspace(*sizes, settings.tries, settings.kicks)
        return lambda part: plan_layers(counts[part], work, limits, phy2log[part], peak[part], bound[part])

    workers = workers or worthwhile_workers(layers * cluster.slots * (1 + settings.tries))
    share_out(layers, min(workers, layers), begin, progress)

    placement = Placement(phy2log, cluster, experts)
    placement.validate()
    before = Placement.default(cluster, experts, layers)
    return Plan(placement, before, peak, counts.sum(axis=1) / cluster.gpus, bound)


def _refuse_impossible(experts: int, cluster: Cluster, groups: int, effort: str, workers: int | None) -> None:
    """Raise for settings that no placement can meet."""
    if effort not in list(SETTINGS):
        raise InputError(f"effort is {effort!r}; expected {', '.join(map(repr, SETTINGS))}")
    if workers is not None:
        check_count("workers", workers)
    check_count("groups", groups)
    if experts % groups:
        raise InputError(
            f"{experts} experts do not divide into {groups} groups; use {nearest_divisors(experts, groups)} groups"
        )
    if groups > 1 and groups % cluster.nodes:
        raise InputError(
            f"{groups} groups do not divide over {cluster.nodes} nodes; "
            f"use {nearest_divisors(groups, cluster.nodes)} nodes, or groups=1 to let experts live on any node"
        )
    if cluster.slots < experts:
        least = -(-experts // cluster.gpus)
        raise InputError(
            f"{cluster.slots} slots ({cluster.gpus} GPUs with {cluster.slots_per_gpu} each) do not hold {experts} "
            f"experts; use at least {least} slots per GPU"
        )


def _ways_to_share(slots: int, experts: int) -> int:
    """Return in how many ways the slots can be shared out, at least one to each expert."""
    return comb(slots - 1, experts - 1)
