"""What plan() is asked for, checked: settings that contradict each other, or that no placement can meet."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from equipoise.cluster import nearest_divisors
from equipoise.errors import InputError, check_choice, check_count, check_share
from equipoise.planning.effort import SETTINGS
from equipoise.planning.homes import Locality

if TYPE_CHECKING:
    from equipoise.cluster import Cluster
    from equipoise.placement import Placement


class Checked(NamedTuple):
    """Settings as a plan goes by them."""

    locality: Locality
    off_node: float  # share of the load that may be served off its home node
    most_moves: float  # in all layers; inf for any number
    min_gain: float


def checked(
    layers: int,
    experts: int,
    cluster: Cluster,
    *,
    groups: int,
    locality: Locality | None,
    off_node: float | None,
    current: Placement | None,
    max_moves: float | None,
    min_gain: float,
    effort: str,
    workers: int | None,
) -> Checked:
    """Return the settings of a plan for so many layers and experts; they mean what they mean to :func:`plan`.

    Raises
    ------
    InputError
        If they contradict each other, or no placement can meet them.
    """
    locality, share = checked_locality(locality, off_node, groups)
    min_gain = check_share("min_gain", min_gain)
    most_moves = checked_moves(max_moves, min_gain, current, layers * cluster.live_slots)
    if current is not None:
        refuse_another_model(current, layers, experts)
    refuse_impossible(experts, cluster, groups, locality, effort, workers)
    return Checked(locality, share, most_moves, min_gain)


def checked_locality(locality: Locality | None, off_node: float | None, groups: int) -> tuple[Locality, float]:
    """Return the locality, and the share of the load that it lets be served off its home node."""
    if locality is not None:
        check_choice("locality", locality, get_args(Locality))
    if off_node is not None and (groups == 1 or locality in ("strict", "none")):
        why = "groups is 1" if groups == 1 else f"locality is {locality!r}"
        raise InputError(f"off_node is {off_node} but {why}; expected groups and locality 'soft', or no off_node")
    if groups == 1 or locality == "none":
        return "none", 1.0
    share = 1.0 if off_node is None and locality == "soft" else check_share("off_node", off_node or 0.0)
    return ("soft", share) if share else ("strict", 0.0)


def checked_moves(max_moves: float | None, min_gain: float, current: Placement | None, slots: int) -> float:
    """Return the most moves to make in all layers; inf for any number."""
    if current is None and (max_moves is not None or min_gain):
        raise InputError("max_moves and min_gain limit the moves from a current placement; expected current with them")
    if max_moves is None:
        return np.inf
    if isinstance(max_moves, Integral) and not isinstance(max_moves, bool) and max_moves >= 0:
        return int(max_moves)
    if isinstance(max_moves, Real) and not isinstance(max_moves, Integral) and 0 <= max_moves <= 1:
        return float(max_moves) * slots
    raise InputError(
        f"max_moves is {max_moves!r}; expected a whole number of moves, or a share of all slots as a float, 0.0 to 1.0"
    )


def refuse_another_model(current: Placement, layers: int, experts: int) -> None:
    """Raise for a current placement that these loads are not of."""
    if (current.layers, current.experts) != (layers, experts):
        raise InputError(
            f"the loads have {layers} layers of {experts} experts, the current placement {current.layers} "
            f"of {current.experts}; expected the same"
        )


def refuse_impossible(
    experts: int, cluster: Cluster, groups: int, locality: Locality, effort: str, workers: int | None
) -> None:
    """Raise for settings that no placement can meet."""
    check_choice("effort", effort, SETTINGS)
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
    if cluster.live_slots < experts:
        gpus = len(cluster.live)
        which = "live GPUs" if cluster.dead else "GPUs"
        raise InputError(
            f"{cluster.live_slots} slots ({gpus} {which} with {cluster.slots_per_gpu} each) do not hold {experts} "
            f"experts; use at least {-(-experts // gpus)} slots per GPU"
        )
    if locality == "strict":
        _refuse_too_dead(experts // cluster.nodes, cluster)


def _refuse_too_dead(experts: int, cluster: Cluster) -> None:
    """Raise where a node's live GPUs do not hold the experts at home on it."""
    live = np.bincount(np.array(cluster.live) // cluster.gpus_per_node, minlength=cluster.nodes)
    slots = live * cluster.slots_per_gpu
    if slots.min() < experts:
        node = int(slots.argmin())
        raise InputError(
            f"node {node} has {slots[node]} slots ({live[node]} live GPUs with {cluster.slots_per_gpu} each) for the "
            f"{experts} experts of its groups; use locality='soft', off_node not 0, to let other nodes hold them too"
        )
