"""The history of a search: each change, what it reached, and what had been spent by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.prices import is_off

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers
    from equipoise.solver.pool import Pool
    from equipoise.solver.prices import Terms


# A change in four numbers. A swap: a GPU, the slot that it gives, the GPU that receives what is there, and the slot
# that it takes for it. A transfer: the GPU that the slot is on, the expert that gives it, the one that receives it, -1.
GPU, GIVE, RECEIVER, TAKE = range(4)


class History(NamedTuple):
    """Each change, and what was reached and spent after it, from none at all on."""

    change: Integers  # [changes + 1, 4], GPU, GIVE, RECEIVER and TAKE; the last is unused
    peak: Floats  # [changes + 1], mean over the windows
    moves: Integers  # [changes + 1], experts that GPUs need and did not hold
    off_node: Floats  # [changes + 1], load served off its home node


def empty_histories(layers: int, changes: int) -> History:
    """Return room for those of all layers, ``[layers, changes + 1]``; the peak is inf where nothing is recorded."""
    points = layers, changes + 1
    return History(
        np.zeros((*points, 4), np.int64), np.full(points, np.inf), np.zeros(points, np.int64), np.zeros(points)
    )


@kernel
def record(pool: Pool, terms: Terms, history: History, changes: int, peak: float) -> None:
    """Write what has been reached, this peak, and spent after so many changes."""
    moves, off_node = 0, 0.0
    for gpu in range(pool.slots.shape[0]):
        for place in range(pool.slots.shape[1]):
            expert = pool.slots[gpu, place]
            if not terms.held[gpu, expert]:
                moves += 1
            if is_off(terms.home[expert], terms.node[gpu]):
                off_node += pool.pieces[gpu, place]
    history.peak[changes], history.moves[changes], history.off_node[changes] = peak, moves, off_node
