"""Domains: what fails at once, a GPU or a node, and how many of them every expert is to be on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.cluster import Cluster
    from equipoise.placement import Across, Placement


def domains_of(cluster: Cluster, across: Across) -> NDArray[np.int64]:
    """Return what each live GPU fails with, itself or its node, int64 ``[live GPUs]``, numbered from 0 on.

    Examples
    --------
    >>> from equipoise import Cluster
    >>> domains_of(Cluster(gpus=6, nodes=3, dead=[0, 1, 2]), "nodes").tolist()
    [0, 1, 1]
    """
    live = np.array(cluster.live, np.int64)
    domain = live if across == "gpus" else live // cluster.gpus_per_node
    return np.asarray(np.unique(domain, return_inverse=True)[1], np.int64)


def least_slots_per_gpu(experts: int, min_replicas: int, gpus: NDArray[np.int64]) -> int | None:
    """Return how many slots a GPU must have for every expert to be on so many domains; None where these are too few.

    A domain holds no more different experts than there are, and that is all that limits them (Gale and Ryser).

    gpus: int64 ``[domains]``, live GPUs of each.

    Examples
    --------
    >>> least_slots_per_gpu(8, 2, np.array([1, 1, 1, 1])), least_slots_per_gpu(8, 2, np.array([1, 3]))
    (4, 8)
    """
    if np.count_nonzero(gpus) < min_replicas:
        return None
    enough = range(-(-min_replicas * experts // int(gpus.sum())), experts + 1)
    return next(slots for slots in enough if np.minimum(gpus * slots, experts).sum() >= min_replicas * experts)


def live_gpus(cluster: Cluster, across: Across) -> NDArray[np.int64]:
    """Return how many GPUs of each domain live, int64 ``[domains]``."""
    by_gpu = np.zeros(cluster.gpus, np.int64)
    by_gpu[list(cluster.live)] = 1
    return by_gpu if across == "gpus" else by_gpu.reshape(cluster.nodes, -1).sum(axis=1)


def refuse_too_few(experts: int, cluster: Cluster, min_replicas: int, across: Across, *, strict: bool) -> None:
    """Raise where no placement has every expert on so many GPUs or nodes, of its own node where that is strict."""
    where = ""
    gpus = live_gpus(cluster, across)
    if strict:
        experts, by_node = experts // cluster.nodes, gpus.reshape(cluster.nodes, -1)
        node = int(by_node.sum(axis=1).argmin())
        gpus, where = by_node[node], f" of node {node}"
    units = "GPUs" if across == "gpus" else "nodes"
    live = int(np.count_nonzero(gpus))
    least = least_slots_per_gpu(experts, min_replicas, gpus)
    if least is None:
        raise InputError(
            f"{setting('min_replicas')} is {min_replicas} but {units}{where} that live: {live}; use at most "
            f"{setting('min_replicas', live)}"
        )
    if least > cluster.slots_per_gpu:
        slots = int(gpus.sum()) * cluster.slots_per_gpu
        raise InputError(
            f"{slots} slots{where} ({int(gpus.sum())} live GPUs with {cluster.slots_per_gpu} each) do not hold "
            f"{experts} experts on {min_replicas} {units} each; use at least {least} slots per GPU, or "
            f"{setting('min_replicas', _most_replicas(experts, cluster.slots_per_gpu, gpus))}"
        )


def _most_replicas(experts: int, slots_per_gpu: int, gpus: NDArray[np.int64]) -> int:
    """Return on how many domains every expert can be."""
    return int(np.minimum(gpus * slots_per_gpu, experts).sum()) // experts


def refuse_short(placement: Placement, min_replicas: int, across: Across) -> None:
    """Raise for the first expert that is on fewer GPUs or nodes."""
    short = np.argwhere(placement.spread(across) < min_replicas)
    if len(short):
        layer, expert = (int(i) for i in short[0])
        found = int(placement.spread(across)[layer, expert])
        raise InputError(
            f"layer {layer} holds expert {expert} on {found} {across}; expected at least {min_replicas} of them"
        )
