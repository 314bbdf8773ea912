"""Cluster: how many nodes, GPUs and slots there are to place experts on."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, log
from numbers import Integral
from typing import TYPE_CHECKING

from equipoise.errors import InputError, check_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Cluster:
    """GPUs in equal nodes, each GPU with the same number of slots.

    Slot ``s`` is on GPU ``s // slots_per_gpu``; GPUs ``n * gpus_per_node ..`` share node ``n`` and its links.

    Parameters
    ----------
    gpus : int
        GPUs (expert-parallel ranks) in all nodes together.
    nodes : int
        Nodes; must divide ``gpus``.
    slots_per_gpu : int
        Experts whose weights one GPU holds, per layer.
    dead : sequence of int
        GPUs that failed: they keep their numbers and slots, but nothing lives there. Kept as a tuple, sorted.

    Raises
    ------
    InputError
        If a number is not a positive integer, the nodes do not divide the GPUs, or a dead GPU is none of them.

    Examples
    --------
    >>> cluster = Cluster(gpus=32, nodes=4, slots_per_gpu=9)
    >>> cluster.slots, cluster.gpus_per_node
    (288, 8)
    """

    gpus: int
    nodes: int = 1
    slots_per_gpu: int = 1
    dead: Sequence[int] = ()

    def __post_init__(self) -> None:
        for name in ("gpus", "nodes", "slots_per_gpu"):
            object.__setattr__(self, name, check_count(name, getattr(self, name)))
        if self.gpus % self.nodes:
            raise InputError(
                f"{self.gpus} GPUs do not divide over {self.nodes} nodes; "
                f"use {nearest_divisors(self.gpus, self.nodes)} nodes"
            )
        object.__setattr__(self, "dead", self._known_dead())

    def _known_dead(self) -> tuple[int, ...]:
        """Return the dead GPUs, each once, in rising order."""
        if isinstance(self.dead, Integral):
            raise InputError(f"dead is {self.dead!r}; expected a list of GPUs, such as [{self.dead!r}]")
        for gpu in self.dead:
            if not isinstance(gpu, Integral) or isinstance(gpu, bool) or gpu not in range(self.gpus):
                raise InputError(f"GPU {gpu!r} is said to be dead; expected GPUs from 0 to {self.gpus - 1}")
        dead = tuple(sorted({int(gpu) for gpu in self.dead}))
        if len(dead) == self.gpus:
            raise InputError(f"all {self.gpus} GPUs are said to be dead; expected one at least that is not")
        return dead

    @property
    def slots(self) -> int:
        """Slots on all GPUs together, per layer."""
        return self.gpus * self.slots_per_gpu

    @property
    def gpus_per_node(self) -> int:
        """GPUs on each node."""
        return self.gpus // self.nodes

    @property
    def live(self) -> tuple[int, ...]:
        """The GPUs that are not dead, in rising order."""
        return tuple(gpu for gpu in range(self.gpus) if gpu not in self.dead)

    @property
    def live_slots(self) -> int:
        """Slots on all live GPUs together, per layer."""
        return len(self.live) * self.slots_per_gpu

    @classmethod
    def for_experts(cls, experts: int, *, gpus: int, nodes: int = 1, redundant: int = 0) -> Cluster:
        """Return the cluster whose slots hold every expert once and ``redundant`` further replicas.

        Raises
        ------
        InputError
            If the slots do not divide over the GPUs; the message names the nearest numbers that do.

        Examples
        --------
        >>> Cluster.for_experts(256, gpus=32, nodes=4, redundant=32).slots_per_gpu
        9
        >>> Cluster.for_experts(8, gpus=4, redundant=3)  # doctest: +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
        equipoise.errors.InputError: 8 experts + 3 redundant = 11 slots do not divide over 4 GPUs;
        use 0, 4 or 8
        """
        if redundant < 0:
            raise InputError(f"redundant is {redundant}; expected at least 0")
        slots = experts + redundant
        fitting = cls(gpus=gpus, nodes=nodes)._nearest_slots(slots, experts)
        if slots not in fitting:
            raise InputError(
                f"{experts} experts + {redundant} redundant = {slots} slots do not divide over {gpus} GPUs; "
                f"use {in_words(n - experts for n in fitting)}"
            )
        return cls(gpus=gpus, nodes=nodes, slots_per_gpu=slots // gpus)

    @classmethod
    def for_slots(cls, slots: int, *, experts: int, gpus: int, nodes: int = 1) -> Cluster:
        """Return the cluster with ``slots`` slots in all, at least one for each expert.

        Raises
        ------
        InputError
            If the slots are too few or do not divide over the GPUs; the message names the nearest that do.

        Examples
        --------
        >>> Cluster.for_slots(288, experts=256, gpus=32).slots_per_gpu
        9
        >>> Cluster.for_slots(286, experts=256, gpus=32)
        Traceback (most recent call last):
        equipoise.errors.InputError: 286 slots do not divide over 32 GPUs; use 256, 288 or 320
        """
        fitting = cls(gpus=gpus, nodes=nodes)._nearest_slots(slots, experts)
        if slots not in fitting:
            wrong = "do not divide over" if slots >= experts else f"are too few for {experts} experts on"
            raise InputError(f"{slots} slots {wrong} {gpus} GPUs; use {in_words(fitting)}")
        return cls(gpus=gpus, nodes=nodes, slots_per_gpu=slots // gpus)

    def _nearest_slots(self, slots: int, experts: int) -> list[int]:
        """Return the numbers near ``slots``, the first at or below it, that the GPUs can share equally."""
        least = -(-experts // self.gpus) * self.gpus
        below = max(slots // self.gpus * self.gpus, least)
        return [below, below + self.gpus, below + 2 * self.gpus]


def tied_groups(groups: int, experts: int, gpus: int, nodes: int) -> int:
    """Return how many expert groups engines keep on their nodes: all, or one where they tie nothing together.

    They do not where nodes do not divide them or they the experts, where each is one expert, or each node one GPU.

    Examples
    --------
    >>> tied_groups(8, experts=256, gpus=32, nodes=4), tied_groups(8, experts=257, gpus=32, nodes=4)
    (8, 1)
    """
    divides = groups % nodes == 0 and experts % groups == 0
    return groups if divides and 1 < nodes < gpus and groups < experts else 1


def nearest_divisors(whole: int, wanted: int, multiple_of: int = 1) -> str:
    """Return the divisors of ``whole`` just below and above ``wanted``, in words: ``"4 or 8"``.

    They are multiples of ``multiple_of``; where there are none, the word is ``"1"``.
    """
    divisors = [n for n in _divisors(whole) if n % multiple_of == 0]
    below = [n for n in divisors if n < wanted][-1:]
    above = [n for n in divisors if n > wanted][:1]
    return in_words(below + above or [1])


def nearest_fit(experts: int, gpus: int, nodes: int, groups: int, slots: int) -> dict[str, int]:
    """Return the nodes, groups and slots nearest to those that were asked for which fit these GPUs and each other.

    Nodes divide GPUs and groups, groups the experts, and GPUs the slots. Of equally near ones the fewest are taken.

    Examples
    --------
    >>> nearest_fit(256, gpus=30, nodes=4, groups=8, slots=288)
    {'nodes': 2, 'groups': 8, 'slots': 300}
    """
    fitting = [
        (abs(log(some_nodes / nodes)) + abs(log(some_groups / groups)), some_nodes, some_groups)
        for some_nodes in _divisors(gpus)
        for some_groups in _divisors(experts)
        if some_groups % some_nodes == 0 or some_groups == 1
    ]
    _, some_nodes, some_groups = min(fitting)
    least = -(-experts // gpus)
    return {"nodes": some_nodes, "groups": some_groups, "slots": max(round(slots / gpus), least) * gpus}


def _divisors(whole: int) -> list[int]:
    small = [n for n in range(1, isqrt(whole) + 1) if whole % n == 0]
    return sorted({*small, *(whole // n for n in small)})


def in_words(numbers: Iterable[int]) -> str:
    """Return the numbers as a choice in words: ``"0, 32 or 64"``."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last
