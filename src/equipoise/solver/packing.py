"""Step 3, pack: which GPU gets which replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.solver.compiling import kernel
from equipoise.solver.heap import pop, push, replace
from equipoise.solver.pool import Pool, Queues, contains, move, weigh_all

if TYPE_CHECKING:
    from equipoise.solver.arrays import Integers


@kernel
def pack(pool: Pool, queues: Queues) -> None:
    """Place every replica, heaviest first, on the least loaded GPU that has a free slot and lacks the expert.

    A GPU that has just received a replica of an expert is set aside until the expert's other replicas are placed, so
    that none meets another.

    Reads the pool's loads and copies and writes all that follows. ``copies <= gpus``.
    """
    gpus, slots_per_gpu = pool.slots.shape
    experts = pool.load.size
    for expert in range(experts):
        pool.share[expert] = pool.load[expert] / pool.copies[expert]
        push(queues.share, queues.expert, expert, pool.share[expert], expert)
    for gpu in range(gpus):
        pool.gpu_load[gpu] = 0.0
        queues.filled[gpu] = 0
        push(queues.lightness, queues.gpu, gpu, 0.0, gpu)
    available = gpus
    for unplaced in range(experts, 0, -1):
        expert = pop(queues.share, queues.expert, unplaced)
        aside = 0
        for copy in range(pool.copies[expert]):
            if available == 0:
                _make_room(pool, queues.filled, expert, copy)
                continue
            gpu = queues.gpu[0]
            _put(pool, queues.filled, expert, copy, gpu)
            is_last = copy + 1 == pool.copies[expert]
            if is_last and queues.filled[gpu] < slots_per_gpu:
                replace(queues.lightness, queues.gpu, available, -pool.gpu_load[gpu], gpu)
                continue
            pop(queues.lightness, queues.gpu, available)
            available -= 1
            queues.aside[aside] = gpu
            aside += 1
        for i in range(aside):
            gpu = queues.aside[i]
            if queues.filled[gpu] < slots_per_gpu:
                push(queues.lightness, queues.gpu, available, -pool.gpu_load[gpu], gpu)
                available += 1
    weigh_all(pool, queues)


@kernel
def _put(pool: Pool, filled: Integers, expert: int, copy: int, gpu: int) -> None:
    """Put one replica into the GPU's next free slot."""
    pool.slots[gpu, filled[gpu]] = expert
    pool.holders[expert, copy] = gpu
    pool.gpu_load[gpu] += pool.share[expert]
    filled[gpu] += 1


@kernel
def _make_room(pool: Pool, filled: Integers, expert: int, copy: int) -> None:
    """Place a replica although every GPU with a free slot holds its expert already.

    The lightest full GPU that lacks the expert takes it in, and one of its experts moves to a free slot. There is
    such a GPU, because copies <= gpus; and of its experts the GPU with the free slot lacks at least two, for that
    one has as many slots, one of them free and one with this expert.
    """
    slots_per_gpu = pool.slots.shape[1]
    roomy = 0
    while filled[roomy] == slots_per_gpu:
        roomy += 1
    full = -1
    for gpu in range(filled.size):
        if not contains(pool, filled, gpu, expert) and (full < 0 or pool.gpu_load[gpu] < pool.gpu_load[full]):
            full = gpu
    place = slots_per_gpu - 1
    while contains(pool, filled, roomy, pool.slots[full, place]):
        place -= 1
    guest = pool.slots[full, place]
    move(pool, guest, full, roomy)
    pool.slots[roomy, filled[roomy]] = guest
    filled[roomy] += 1
    pool.slots[full, place] = expert
    pool.holders[expert, copy] = full
    pool.gpu_load[roomy] += pool.share[guest]
    pool.gpu_load[full] += pool.share[expert] - pool.share[guest]
