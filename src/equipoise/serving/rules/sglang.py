"""SGLang's rules: each GPU goes to the replica that is nearest, and where none is near, to one that it is dealt.

How even that is depends on who deals. The engine's own rebalancing deals for all GPUs at once, and every replica comes
up about equally often. A placement read from a file is first cut down, on each GPU, to its nearest replicas; what is
left to deal differs from GPU to GPU, so each draws other numbers, and which replicas come up is chance.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from equipoise.serving.rules.even import even_shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from equipoise.placement import Placement

SEED = 42


def static(placement: Placement, batch: int | None) -> Iterator[NDArray[np.float64]]:
    """Yield for each GPU its nearest or dealt replicas, one of each expert, ``[layers, experts, replicas]``."""
    chosen, random = nearest(placement), Random(SEED)
    for layer, expert in _unsettled(chosen.min(axis=0), placement):
        far = np.flatnonzero(chosen[:, layer, expert] < 0)
        chosen[far, layer, expert] = _dealt(int(placement.logcnt[layer, expert]), far.size, random)
    for replica in chosen:
        yield _only(replica, placement)


def static_from_file(placement: Placement, batch: int | None) -> Iterator[NDArray[np.float64]]:
    """Yield the same where every GPU deals for itself, ``[layers, experts, replicas]``."""
    for replica in _each_for_itself(placement):
        yield _only(replica, placement)


@lru_cache(maxsize=1)  # dealing takes long, and batches of one placement are served one after the other
def _each_for_itself(placement: Placement) -> NDArray[np.int64]:
    """Return each GPU's nearest replica of each expert, or the one it deals itself, ``[gpus, layers, experts]``."""
    chosen = nearest(placement)
    place = np.cumsum(chosen < 0, axis=0) - 1  # among the GPUs that have none near
    far = place[-1] + 1
    for gpu, replica in enumerate(chosen):
        random = Random(SEED)
        for layer, expert in _unsettled(replica, placement):
            choices = _dealt(int(placement.logcnt[layer, expert]), int(far[layer, expert]), random)
            replica[layer, expert] = choices[place[gpu, layer, expert]]
    chosen.flags.writeable = False
    return chosen


def dynamic_from_file(placement: Placement, batch: int | None) -> Iterator[NDArray[np.float64]]:
    """Yield for each GPU its nearest replica, or where none is near, all alike, ``[layers, experts, replicas]``."""
    evenly = even_shares(placement)
    for replica in nearest(placement):
        yield np.where(replica[:, :, None] < 0, evenly, _only(replica, placement))


def nearest(placement: Placement) -> NDArray[np.int64]:
    """Return each GPU's nearest replica of each expert, ``[gpus, layers, experts]``, -1 where none is near.

    The only replica there is counts as near; then the first on the GPU itself; then the first on its node, unless all
    replicas are there.
    """
    cluster = placement.cluster
    on_gpu = np.where(placement.log2phy < 0, -1, placement.log2phy // cluster.slots_per_gpu)
    on_node = np.where(on_gpu < 0, -1, on_gpu // cluster.gpus_per_node)
    found = np.empty((cluster.gpus, *placement.logcnt.shape), np.int64)
    for gpu in range(cluster.gpus):
        here = on_gpu == gpu
        near = on_node == gpu // cluster.gpus_per_node
        narrows = near.any(axis=2) & (near.sum(axis=2) < placement.logcnt)
        found[gpu] = np.where(narrows, near.argmax(axis=2), -1)
        found[gpu] = np.where(here.any(axis=2), here.argmax(axis=2), found[gpu])
    found[:, placement.logcnt == 1] = 0
    return found


def _unsettled(replica: NDArray[np.int64], placement: Placement) -> list[list[int]]:
    """Return layer and expert of all that must be dealt, where ``[layers, experts]`` has -1, layer by layer."""
    pairs: list[list[int]] = np.argwhere((replica < 0) & (placement.logcnt > 0)).tolist()
    return pairs


def _dealt(replicas: int, gpus: int, random: Random) -> list[int]:
    """Return a replica for each of the GPUs, every replica about equally often."""
    rounds, rest = divmod(gpus, replicas)
    hand = [*range(replicas)] * rounds + random.sample(range(replicas), k=rest)
    random.shuffle(hand)
    return hand


def _only(replica: NDArray[np.int64], placement: Placement) -> NDArray[np.float64]:
    """Return a share of 1 for one replica of each expert, ``[layers, experts, replicas]``."""
    return np.asarray(replica[:, :, None] == np.arange(placement.log2phy.shape[2]), np.float64)
