"""Step 2, replicate: how many replicas each expert gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.solver.compiling import kernel
from equipoise.solver.heap import push, replace

if TYPE_CHECKING:
    from equipoise.solver.pool import Pool, Queues


@kernel
def replicate(pool: Pool, queues: Queues) -> None:
    """Hand out the slots one by one, each to the expert whose replicas are then the heaviest.

    This is Adams' divisor rule: it makes the largest replica as small as any counts can. No expert gets more replicas
    than there are GPUs: one more would share a GPU with another.

    Reads the pool's loads, writes its copies. ``experts <= slots <= experts * gpus``.
    """
    experts, most_copies = pool.holders.shape
    share, waiting = queues.share, queues.expert
    for expert in range(experts):
        pool.copies[expert] = 1
        push(share, waiting, expert, pool.load[expert], expert)
    for _ in range(pool.slots.size - experts):
        hottest = waiting[0]
        pool.copies[hottest] += 1
        has_all = pool.copies[hottest] == most_copies
        smaller = -1.0 if has_all else pool.load[hottest] / pool.copies[hottest]
        replace(share, waiting, experts, smaller, hottest)
