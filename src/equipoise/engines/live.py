"""What every live plug-in does: plan from what is live, say so in one line of the log, and never fail the engine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from inspect import signature
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.cluster import Cluster, tied_groups
from equipoise.engines import gauges
from equipoise.engines.settings import read_settings
from equipoise.errors import InputError
from equipoise.placement import Placement
from equipoise.planner import plan, warm_up
from equipoise.planning.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger

    from numpy.typing import NDArray

    from equipoise.engines.settings import Settings
    from equipoise.placement import Across
    from equipoise.planning.plan import Plan
    from equipoise.planning.request import PlannedRouting


@dataclass(frozen=True, eq=False)
class EngineCall:
    """What an engine asks for.

    Attributes
    ----------
    loads : ndarray, ``[windows, layers, experts]``
        As the engine recorded them.
    cluster : Cluster
        Where the experts shall live.
    groups : int
        Expert groups; 1 where any expert may live anywhere.
    live : ndarray of int ``[layers, slots]`` or None
        The expert in each slot now, -1 in an empty one; perhaps of more GPUs, or fewer. None before there is any.
    routing : "even" or "filled"
        How the engine will share picks over replicas.
    """

    loads: NDArray[Any]
    cluster: Cluster
    groups: int
    live: NDArray[Any] | None
    routing: PlannedRouting = "even"

    @property
    def experts(self) -> int:
        """Logical experts of each layer."""
        return int(self.loads.shape[2])


@cache
def live_settings() -> Settings:
    """Return the settings of this process, read once.

    Raises
    ------
    InputError
        If they cannot be used.
    """
    return read_settings(os.environ)


@cache
def prepare(routing: PlannedRouting, across: Across) -> None:
    """Get ready once in a process, before the first plan that anybody waits for."""
    warm_up(windows=2, routing=routing, across=across)


def same_parameters(ours: Callable[..., Any], theirs: Callable[..., Any]) -> bool:
    """Return whether a function can be called as an engine's own is: whether its parameters have the same names."""
    return list(signature(ours).parameters) == list(signature(theirs).parameters)


def cluster_of(slots: int, gpus: int, nodes: int, groups: int | None, dead: list[int]) -> tuple[Cluster, int]:
    """Return the cluster and the groups as engines mean them: groups count where the nodes divide them, all GPUs up.

    Raises
    ------
    InputError
        If the slots do not divide over the GPUs.
    """
    if slots % gpus:
        raise InputError(f"{slots} slots do not divide over {gpus} GPUs; expected as many on each")
    groups = groups or 1
    if dead or gpus % nodes or groups % nodes:
        groups, nodes = 1, 1
    return Cluster(gpus=gpus, nodes=nodes, slots_per_gpu=slots // gpus, dead=dead), groups


def replanned(call: EngineCall, settings: Settings, log: Logger) -> Placement:
    """Return the placement to go over to: a new plan, or where that fails what is live, with the traceback logged.

    Raises
    ------
    InputError
        If neither can be had: planning fails, and what is live does not hold every expert on this cluster.
    """
    call = _without_idle_groups(call, log)
    try:
        prepare(call.routing, settings.across)
        start = perf_counter()
        result = _plan(call, settings)
        figures = _figures(result, call, settings, perf_counter() - start)
        log.info("%s", json.dumps(figures) if settings.log_json else _in_words(figures))
    except Exception:
        log.exception(
            "Equipoise could not plan; the experts stay where they are, or go in order where they cannot stay"
        )
        return _as_it_is(call)
    gauges.show(figures, log)
    return result.placement


def _without_idle_groups(call: EngineCall, log: Logger) -> EngineCall:
    """Return the call without groups that tie nothing together, and say so where there were some."""
    cluster = call.cluster
    if call.groups == tied_groups(call.groups, call.experts, cluster.gpus, cluster.nodes):
        return call
    why = f"{call.groups} groups of {call.experts} experts tie nothing on {cluster.nodes} nodes of {cluster.gpus} GPUs"
    log.info("Equipoise plans without expert groups: %s", why)
    return replace(call, cluster=replace(cluster, nodes=1), groups=1)


def _plan(call: EngineCall, settings: Settings) -> Plan:
    current = _current(call)
    locality, off_node = (settings.locality, settings.off_node) if call.groups > 1 else (None, None)
    return plan(
        call.loads if call.loads.any() else Scenarios(call.loads),  # nothing, in an engine's profile run
        call.cluster,
        forecast=settings.forecast,
        groups=call.groups,
        locality=locality,
        off_node=off_node,
        current=current,
        routing=call.routing,
        effort=settings.effort,
        min_replicas=settings.min_replicas,
        across=settings.across,
        **(settings.limits if current else {}),
    )


def _current(call: EngineCall) -> Placement | None:
    """Return a copy of what is live, on as many GPUs of the same size as it takes."""
    if call.live is None:
        return None
    slots_per_gpu = call.cluster.slots_per_gpu
    gpus, left = divmod(call.live.shape[1], slots_per_gpu)
    if left:
        raise InputError(f"{call.live.shape[1]} live slots do not divide over GPUs with {slots_per_gpu} each")
    return Placement(call.live, Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu), call.experts)


def _as_it_is(call: EngineCall) -> Placement:
    """Return the live placement where every live GPU is full and every expert on one, else the experts in order."""
    in_order = _in_order(call)
    if call.live is None or call.live.shape != in_order.phy2log.shape:
        return in_order
    experts = np.where(in_order.phy2log < 0, -1, call.live)
    if (experts >= call.experts).any() or ((experts < 0) != (in_order.phy2log < 0)).any():
        return in_order
    as_it_is = Placement(experts, call.cluster, call.experts)
    return as_it_is if as_it_is.logcnt.all() else in_order


def _in_order(call: EngineCall) -> Placement:
    """Return the engines' default layout on the live GPUs; raise where they do not hold every expert."""
    experts = np.arange(call.cluster.live_slots) % call.experts
    slots = np.tile(experts.reshape(-1, call.cluster.slots_per_gpu), (call.loads.shape[1], 1, 1))
    placement = Placement.on_live(slots, call.cluster, call.experts)
    placement.validate()
    return placement


def _figures(result: Plan, call: EngineCall, settings: Settings, seconds: float) -> dict[str, Any]:
    """Return what the log says of a plan; ranks that say different digests have plans that do not fit together."""
    placement = result.placement
    return {
        "equipoise": "planned" if call.live is None else "re-planned",
        "layers": placement.layers,
        "gpus": len(placement.cluster.live),
        "milliseconds": round(1000 * seconds, 1),
        "par_before": result.mean_of(result.par_before),
        "par": result.mean_of(result.par),
        "moves": int(result.moves.sum()),
        "moved_share": result.moved_share,
        "declined_par": result.declined,
        "settings": settings.digest,
        "placement": sha256(placement.phy2log.tobytes()).hexdigest()[:8],
    }


def _in_words(figures: dict[str, Any]) -> str:
    declined = figures["declined_par"]
    not_worth_it = "" if declined is None else f" (PAR {declined:.4f} was not worth its moves)"
    return (
        f"Equipoise {figures['equipoise']} {figures['layers']} layers on {figures['gpus']} GPUs in "
        f"{figures['milliseconds']:.0f} ms: PAR {figures['par_before']:.4f} -> {figures['par']:.4f}, "
        f"{figures['moves']} moves, {figures['moved_share']:.1%} of the slots{not_worth_it}; settings "
        f"{figures['settings']}, placement {figures['placement']}"
    )
