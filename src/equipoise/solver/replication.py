"""Step 2, replicate: how many replicas each expert gets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from equipoise.solver.compiling import kernel
from equipoise.solver.heap import push, replace

if TYPE_CHECKING:
    from equipoise.solver.pool import Pool, Queues


@kernel
def replicate(pool: Pool, queues: Queues) -> None:
    """Hand out the slots one by one, each to the expert whose replicas are then the heaviest.

    This is Adams' divisor rule: it makes the largest replica as small as any counts can. No expert gets more replicas
    than there are GPUs: one more would share a GPU with another. Where each must be on several domains, it has as many
    from the start.

    Reads the pool's loads, writes its copies. ``experts * least <= slots <= experts * gpus``.
    """
    experts = pool.load.size
    for expert in range(experts):
        pool.copies[expert] = pool.least
        push(queues.share, queues.expert, expert, pool.load[expert] / pool.least, expert)
    _hand_out(pool, queues, experts, pool.slots.size - experts * pool.least)


@kernel
def replicate_sparingly(pool: Pool, queues: Queues, room: float) -> bool:
    """Give each expert only the replicas it must have, or without which one would not fit into ``room``, a GPU's load.

    The slots left over are handed out among the experts that fit with the fewest. Where a few experts are much of the
    load, this leaves pieces that fill a GPU, instead of pieces of which one is too little for it and two are too much.

    Returns whether the slots suffice, and can all be given away.
    """
    most_copies = pool.holders.shape[1]
    left, fewest = pool.slots.size, 0
    for expert in range(pool.load.size):
        pool.copies[expert] = max(pool.least, math.ceil(pool.load[expert] / room)) if room > 0 else pool.least
        left -= pool.copies[expert]
        if pool.copies[expert] > most_copies or left < 0:
            return False
        if pool.copies[expert] == pool.least:
            push(queues.share, queues.expert, fewest, pool.load[expert] / pool.least, expert)
            fewest += 1
    if left > fewest * (most_copies - pool.least):
        return False
    _hand_out(pool, queues, fewest, left)
    return True


@kernel
def _hand_out(pool: Pool, queues: Queues, experts: int, slots: int) -> None:
    """Give the slots away one by one to the experts in the queue, which have the fewest replicas."""
    share, waiting, most_copies = queues.share, queues.expert, pool.holders.shape[1]
    for _ in range(slots):
        hottest = waiting[0]
        pool.copies[hottest] += 1
        has_all = pool.copies[hottest] == most_copies
        smaller = -1.0 if has_all else pool.load[hottest] / pool.copies[hottest]
        replace(share, waiting, experts, smaller, hottest)
