"""In which batch each message of a layer is sent, so that no GPU talks to two others at once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Link = tuple[int, int]  # sending GPU, receiving GPU
    Pair = tuple[int, int]  # two GPUs, the lower first


def in_batches(messages: Iterable[Link]) -> list[int]:
    """Return the batch of each message, from 0: in a batch a GPU talks to one other, one message each way at most.

    There are fewer batches than twice the messages that one GPU sends and receives.

    Examples
    --------
    >>> in_batches([(0, 1), (1, 0), (2, 1), (3, 2)])
    [1, 1, 0, 1]
    """
    crossed: Counter[Link] = Counter()
    turns = []
    for source, gpu in messages:
        turns.append(((min(source, gpu), max(source, gpu)), crossed[source, gpu]))
        crossed[source, gpu] += 1
    # What two GPUs have for each other crosses in pairs, one each way, in a batch of theirs.
    left = {(low, high): max(crossed[low, high], crossed[high, low]) for (low, high), _ in turns}
    batches = _batches_of_pairs(left)
    return [batches[pair][turn] for pair, turn in turns]


def _batches_of_pairs(left: dict[Pair, int]) -> dict[Pair, list[int]]:
    """Return the batches in which two GPUs talk, as many as they have ``left``, which is used up.

    Each batch takes the pairs whose two GPUs have the most left to do, while neither is taken, ties to the lowest
    numbers: the busiest GPUs, which need the most batches, are rarely idle.
    """
    batches: dict[Pair, list[int]] = {pair: [] for pair in left}
    batch = 0
    while left:
        for pair in _disjoint(left):
            batches[pair].append(batch)
            left[pair] -= 1
            if not left[pair]:
                del left[pair]
        batch += 1
    return batches


def _disjoint(left: dict[Pair, int]) -> list[Pair]:
    """Return pairs without a GPU in common, to which no further one can be added."""
    to_do: Counter[int] = Counter()
    for pair, times in left.items():
        to_do.update(dict.fromkeys(pair, times))
    taken: set[int] = set()
    chosen = []
    for pair in sorted(left, key=lambda pair: (-to_do[pair[0]] - to_do[pair[1]], pair)):
        if taken.isdisjoint(pair):
            taken.update(pair)
            chosen.append(pair)
    return chosen
