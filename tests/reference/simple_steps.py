"""Steps 1 to 3 for one layer, in plain NumPy: group, replicate, pack."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]
    Held = NDArray[np.bool_]  # [gpus, experts]: this GPU holds this expert


def groupings(groups: int, nodes: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield every way to spread the groups over the nodes in equal numbers, nodes being alike."""
    yield from _split(tuple(range(groups)), groups // nodes)


def _split(groups: tuple[int, ...], per_node: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    if not groups:
        yield ()
        return
    first, rest = groups[0], groups[1:]
    for others in combinations(rest, per_node - 1):
        left = tuple(group for group in rest if group not in others)
        for following in _split(left, per_node):
            yield ((first, *others), *following)


def best_grouping(group_load: Floats, nodes: int) -> tuple[tuple[int, ...], ...]:
    """Return the groups of each node, the largest node load being the least possible."""
    return min(
        groupings(len(group_load), nodes),
        key=lambda split: max(group_load[list(node)].sum() for node in split),
    )


def adams_counts(load: Floats, slots: int, gpus: int) -> Counts:
    """Return the copies of each expert: one at a time to the heaviest replica, at most one a GPU."""
    counts = np.ones(len(load), dtype=np.int64)
    for _ in range(slots - len(load)):
        counts[np.argmax(np.where(counts < gpus, load / counts, -1))] += 1
    return counts


def pack(load: Floats, counts: Counts, gpus: int) -> Held:
    """Pack heaviest first, each replica onto the least loaded GPU with a free slot that lacks its expert."""
    share = load / counts
    slots_per_gpu = counts.sum() // gpus
    held = np.zeros((gpus, len(load)), dtype=bool)
    heaviest_first = np.argsort(-share, kind="stable")
    for expert in np.repeat(heaviest_first, counts[heaviest_first]):
        free = held.sum(axis=1) < slots_per_gpu
        fitting = free & ~held[:, expert]
        if fitting.any():
            held[np.argmin(np.where(fitting, held @ share, np.inf)), expert] = True
        else:
            _make_room(held, expert, free, share)
    return held


def _make_room(held: Held, expert: np.intp, free: NDArray[np.bool_], share: Floats) -> None:
    """Swap the replica for an expert of a full GPU, which goes to a free slot, at the least peak of both."""
    gpu_load = held @ share

    def peak_of_the_two(choice: tuple[np.intp, np.intp, np.intp]) -> float:
        full, other, spare = choice
        return float(max(gpu_load[full] + share[expert] - share[other], gpu_load[spare] + share[other]))

    choices = [
        (full, other, spare)
        for full in np.flatnonzero(~free & ~held[:, expert])
        for other in np.flatnonzero(held[full])
        for spare in np.flatnonzero(free)
        if not held[spare, other]
    ]
    full, other, spare = min(choices, key=peak_of_the_two)
    held[full, other], held[full, expert], held[spare, other] = False, True, True


def peak(load: Floats, held: Held) -> float:
    """Return the largest GPU load, every expert's load split evenly over the GPUs that hold it."""
    return float((held @ (load / held.sum(axis=0))).max())
