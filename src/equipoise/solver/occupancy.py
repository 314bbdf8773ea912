"""What is where while a pool is being filled: slots put to use and given up, and which replicas are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.solver.compiling import kernel

if TYPE_CHECKING:
    from equipoise.solver.arrays import Integers
    from equipoise.solver.pool import Pool, Queues


@kernel
def empty(pool: Pool, queues: Queues) -> None:
    """Take everything out."""
    for expert in range(pool.load.size):
        pool.copies[expert] = 0
        for domain in range(queues.filled.size):
            queues.there[expert, domain] = 0
    for gpu in range(queues.filled.size):
        queues.filled[gpu] = 0


@kernel
def put(pool: Pool, queues: Queues, expert: int, gpu: int) -> None:
    """Put a replica into the GPU's next free slot."""
    pool.slots[gpu, queues.filled[gpu]] = expert
    queues.filled[gpu] += 1
    pool.copies[expert] += 1
    queues.there[expert, pool.domain[gpu]] += 1


@kernel
def remove(pool: Pool, queues: Queues, gpu: int, place: int) -> None:
    """Take the replica out of a GPU's slot, which the last of its replicas gets, so that those in use come first."""
    expert = pool.slots[gpu, place]
    queues.filled[gpu] -= 1
    pool.slots[gpu, place] = pool.slots[gpu, queues.filled[gpu]]
    pool.copies[expert] -= 1
    queues.there[expert, pool.domain[gpu]] -= 1


@kernel
def domains_of(there: Integers, expert: int) -> int:
    """Return how many domains the expert is on."""
    found = 0
    for domain in range(there.shape[1]):
        found += int(there[expert, domain] > 0)
    return found


@kernel
def can_go(pool: Pool, there: Integers, expert: int, gpu: int) -> bool:
    """Return whether the expert's replica on the GPU counts for nothing, or it is on more domains than it must be."""
    return there[expert, pool.domain[gpu]] > 1 or domains_of(there, expert) > pool.least


@kernel
def loss_of(pool: Pool, there: Integers, expert: int, gpu: int) -> float:
    """Return by how much the expert's replicas grow when that on the GPU goes; inf where it is needed."""
    if not can_go(pool, there, expert, gpu):
        return np.inf
    copies = pool.copies[expert]
    growth: float = pool.load[expert] / (copies - 1) - pool.load[expert] / copies
    return growth
