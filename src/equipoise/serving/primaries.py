"""primaries(): the one replica of each expert that takes what is not split."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement

_known: WeakKeyDictionary[Placement, NDArray[np.int64]] = WeakKeyDictionary()
"""What follows from a placement is worked out once."""


def primaries(placement: Placement) -> NDArray[np.int64]:
    """Return the slot of each expert's primary, int64 ``[layers, experts]``; -1 where an expert has no replica.

    Of all choices of one replica for each expert, those in which no GPU has more primaries than need be; of these the
    one in which expert 0 has its lowest slot, then expert 1, and so on. It follows from the placement alone, so that
    all ranks find the same.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> placement = Placement([[0, 1, 2, 3, 0, 1]], Cluster(gpus=2, slots_per_gpu=3), experts=4)
    >>> primaries(placement).tolist()
    [[0, 5, 2, 3]]
    """
    if placement not in _known:
        found = np.array([_of_layer(slots, placement) for slots in placement.log2phy.tolist()], np.int64)
        found.flags.writeable = False
        _known[placement] = found
    return _known[placement]


def _of_layer(slots: list[list[int]], placement: Placement) -> list[int]:
    per_gpu = placement.cluster.slots_per_gpu
    choices = [[slot for slot in some if slot >= 0] for some in slots]
    seats = _Seats([[slot // per_gpu for slot in some] for some in choices], placement.cluster.gpus)
    return [some[seats.settle(expert)] if some else -1 for expert, some in enumerate(choices)]


class _Seats:
    """A GPU for each expert, as many experts on each GPU at most as need be; settled one by one.

    choices: the GPUs of each expert's replicas, in the order of their slots.
    """

    def __init__(self, choices: list[list[int]], gpus: int) -> None:
        self.choices = choices
        self.seated: list[set[int]] = [set() for _ in range(gpus)]  # the experts on each GPU that may be seated anew
        self.taken = [0] * gpus  # those, and those that are settled
        self.most = 1
        for expert, some in enumerate(choices):
            while some and not any(self._make_room(gpu) and self._seat(expert, gpu) for gpu in some):
                self.most += 1

    def settle(self, expert: int) -> int:
        """Return which of its replicas an expert keeps: the first that leaves a seat for all that are not settled."""
        choices = self.choices[expert]
        now = next(gpu for gpu in choices if expert in self.seated[gpu])
        self.seated[now].remove(expert)
        self.taken[now] -= 1
        for number, gpu in enumerate(choices):
            if self._make_room(gpu):
                self.taken[gpu] += 1
                return number
        raise AssertionError("where it was, there is room")

    def _seat(self, expert: int, gpu: int) -> bool:
        self.seated[gpu].add(expert)
        self.taken[gpu] += 1
        return True

    def _make_room(self, gpu: int) -> bool:
        """Return whether a GPU has a free seat, or gets one: experts there take others (a shortest augmenting path)."""
        came: dict[int, tuple[int, int]] = {}  # to a GPU: from which, and which expert would take a seat there
        waiting = deque([gpu])
        while waiting:
            now = waiting.popleft()
            if self.taken[now] < self.most:
                self._give_way(now, gpu, came)
                return True
            for expert in sorted(self.seated[now]):
                for other in self.choices[expert]:
                    if other != gpu and other not in came:
                        came[other] = now, expert
                        waiting.append(other)
        return False

    def _give_way(self, free: int, gpu: int, came: dict[int, tuple[int, int]]) -> None:
        """Seat the experts along the way anew, from the free seat back to the GPU that needs one."""
        while free != gpu:
            before, expert = came[free]
            self.seated[before].remove(expert)
            self.taken[before] -= 1
            self._seat(expert, free)
            free = before
