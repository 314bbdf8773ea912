"""Another placement with the same balance and fewer moves: nodes and GPUs renamed, slots kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Relabelled(NamedTuple):
    """The same placement, GPUs renamed."""

    slots: NDArray[np.int64]  # [layers, gpus, slots per GPU], the expert in each
    number: NDArray[np.int64]  # [layers, gpus], the number that each GPU of the placement has been given


def relabel(slots: NDArray[np.int64], live: NDArray[np.int64], experts: int, nodes: int) -> Relabelled:
    """Give each of a placement's GPUs the number of the live one that holds most of its experts already.

    First the nodes are matched, then the GPUs of each: two assignment problems for each layer.

    Parameters
    ----------
    slots : ndarray, int64 ``[layers, gpus, slots per GPU]``
        Expert in each slot of the placement.
    live : ndarray, int64 ``[layers, gpus, live slots per GPU]``
        Expert in each slot now, none twice on a GPU; -1 where it is empty.
    experts : int
        Logical experts of each layer.
    nodes : int
        Nodes whose GPUs must stay together; 1 where any GPU may take any number.
    """
    number = np.stack([_numbers(*both, experts, nodes) for both in zip(slots, live, strict=True)])
    renamed = np.empty_like(slots)
    np.put_along_axis(renamed, number[:, :, None], slots, axis=1)
    return Relabelled(renamed, number)


def in_live_slots(slots: NDArray[np.int64], live: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put every expert that lives on its GPU already into the slot where it does; shapes as in `relabel`.

    Slots that are yet to be filled, -1, stay between the others.
    """
    return np.stack([_in_live_slots_of_layer(*both) for both in zip(slots, live, strict=True)])


def _numbers(slots: NDArray[np.int64], live: NDArray[np.int64], experts: int, nodes: int) -> NDArray[np.int64]:
    """Return the number to give to each GPU of a layer."""
    from scipy.optimize import linear_sum_assignment

    gpus = len(slots) // nodes
    gpu, node = np.arange(len(slots)), np.arange(len(slots)) // gpus
    numbers = np.empty_like(gpu)
    of_nodes = _in_common(slots, live, node, experts)
    in_common = _in_common(slots, live, gpu, experts)
    for old_node, new_node in zip(*linear_sum_assignment(of_nodes, maximize=True), strict=True):
        old, new = slice(old_node * gpus, (old_node + 1) * gpus), slice(new_node * gpus, (new_node + 1) * gpus)
        order, number = linear_sum_assignment(in_common[old, new], maximize=True)
        numbers[old][order] = new_node * gpus + number
    return numbers


def _in_common(
    slots: NDArray[np.int64], live: NDArray[np.int64], place: NDArray[np.int64], experts: int
) -> NDArray[np.int64]:
    """Return how many replicas each place of a placement has in common with each live one, int64 ``[places, places]``.

    place: int64 ``[gpus]``, the GPU itself or its node. Most pairs have nothing in common, so matrices are sparse.
    """
    from scipy.sparse import csr_array

    def held(slots: NDArray[np.int64]) -> Any:
        gpu, at = np.nonzero(slots >= 0)
        ones = np.ones(len(gpu), np.int64)
        return csr_array((ones, (place[gpu], slots[gpu, at])), shape=(place[-1] + 1, experts))

    return np.asarray((held(slots) @ held(live).T).toarray())


def _in_live_slots_of_layer(slots: NDArray[np.int64], live: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the experts that live there already into their slots, the others into those between."""
    placed = np.full_like(slots, -1)
    width = min(slots.shape[1], live.shape[1])
    placed[:, :width] = live[:, :width]
    repeated = (slots[:, :, None] == slots[:, None, :]) & np.tri(slots.shape[1], k=-1, dtype=np.bool_)
    same = (placed[:, :, None] == slots[:, None, :]) & ~(repeated.any(axis=2) | (slots < 0))[:, None, :]
    placed[~same.any(axis=2)] = slots[~same.any(axis=1)]  # as many on each GPU, and GPU by GPU
    return placed
