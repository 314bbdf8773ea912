"""Setup: the GPUs and slots that a model may be served on, and all that come into question."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from equipoise.cluster import Cluster, in_words, nearest_divisors, tied_groups
from equipoise.errors import InputError, check_count, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

MORE_SLOTS = 2


@dataclass(frozen=True)
class Setup:
    """A cluster, and the expert groups that are each kept on one of its nodes.

    Parameters
    ----------
    cluster : Cluster
        GPUs, nodes and slots.
    groups : int
        Expert groups; 1 where experts may live anywhere.
    """

    cluster: Cluster
    groups: int = 1


def setups_of(
    experts: int,
    gpus: Sequence[int],
    slots: Sequence[int] | None = None,
    gpus_per_node: int | None = None,
    groups: Sequence[int] = (1,),
) -> list[Setup]:
    """Return every setup of these that can serve a model, in the order in which the numbers are given.

    Those whose slots do not hold the experts are left out, and those of whose slots a GPU has more than there are
    experts. Groups that do not divide over the nodes, or are all on one, tie nothing, as in engines.

    Parameters
    ----------
    experts : int
        Experts of a layer.
    gpus : sequence of int
        Numbers of GPUs.
    slots : sequence of int, optional
        Slots of a GPU; otherwise the fewest that hold the experts on so many GPUs, and one and two more.
    gpus_per_node : int, optional
        GPUs of a node; otherwise all are on one.
    groups : sequence of int
        Numbers of expert groups.

    Raises
    ------
    InputError
        If a number is no whole number of at least 1, experts do not divide into groups, GPUs do not divide into nodes,
        or nothing is left.

    Examples
    --------
    >>> [setup.cluster.slots_per_gpu for setup in setups_of(256, [32], gpus_per_node=8)]
    [8, 9, 10]
    """
    for name, numbers in (("gpus", gpus), ("slots", slots), ("groups", groups)):
        if numbers is not None and len(numbers) == 0:
            raise InputError(f"{setting(name)} are none; expected one at least")
    found = []
    for number in gpus:
        fewest = -(-experts // check_count(setting("gpus"), number))
        nodes = _nodes(number, gpus_per_node)
        of_a_gpu = range(fewest, fewest + MORE_SLOTS + 1) if slots is None else slots
        for slots_per_gpu, tied in product(of_a_gpu, dict.fromkeys(_tying(groups, experts, number, nodes))):
            if fewest <= check_count(setting("slots"), slots_per_gpu) <= experts:
                found.append(Setup(Cluster(gpus=number, nodes=nodes, slots_per_gpu=slots_per_gpu), tied))
    if not found:
        raise InputError(
            f"{experts} experts do not fit on {in_words(gpus)} GPUs with {in_words(slots or ())} slots each, or would "
            f"be twice on one; use {setting('slots')} from {-(-experts // max(gpus))} to {experts}"
        )
    return found


def _nodes(gpus: int, gpus_per_node: int | None) -> int:
    """Return the nodes of so many GPUs; fewer than one node has are on one."""
    if gpus_per_node is None or gpus <= check_count(setting("gpus_per_node"), gpus_per_node):
        return 1
    if gpus % gpus_per_node:
        raise InputError(f"{gpus} GPUs do not divide into nodes of {gpus_per_node}; use another {setting('gpus')}")
    return gpus // gpus_per_node


def _tying(groups: Sequence[int], experts: int, gpus: int, nodes: int) -> list[int]:
    """Return how many groups are kept on their nodes, for each number of them."""
    for number in groups:
        if experts % check_count(setting("groups"), number):
            raise InputError(
                f"{experts} experts do not divide into {number} groups; use {nearest_divisors(experts, number)} "
                f"{setting('groups')}"
            )
    return [tied_groups(number, experts, gpus, nodes) for number in groups]
