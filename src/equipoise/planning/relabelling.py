"""Another placement with the same balance and fewer moves: nodes and GPUs renamed, slots kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def relabel(slots: NDArray[np.int64], live: NDArray[np.int64], experts: int, nodes: int) -> NDArray[np.int64]:
    """Give each of a placement's GPUs the number of the live one that holds most of its experts already.

    First the nodes are matched, then the GPUs of each: two assignment problems for each layer. An expert that lives on
    its GPU then keeps its slot there.

    Parameters
    ----------
    slots : ndarray, int64 ``[layers, gpus, slots per GPU]``
        Expert in each slot of the placement, none twice on a GPU.
    live : ndarray, int64 ``[layers, gpus, slots per GPU]``
        Expert in each slot now; -1 where it is empty.
    experts : int
        Logical experts of each layer.
    nodes : int
        Nodes whose GPUs must stay together; 1 where any GPU may take any number.

    Returns
    -------
    ndarray, int64 ``[layers, gpus, slots per GPU]``
    """
    return np.stack([_relabel_layer(*both, experts, nodes) for both in zip(slots, live, strict=True)])


def _relabel_layer(slots: NDArray[np.int64], live: NDArray[np.int64], experts: int, nodes: int) -> NDArray[np.int64]:
    from scipy.optimize import linear_sum_assignment

    wanted, present = _held(slots, experts), _held(live, experts)
    gpus = len(slots) // nodes
    common = _by_node(wanted, nodes) @ _by_node(present, nodes).T
    renamed = np.empty_like(slots)
    for node, live_node in zip(*linear_sum_assignment(common, maximize=True), strict=True):
        old, new = slice(node * gpus, (node + 1) * gpus), slice(live_node * gpus, (live_node + 1) * gpus)
        order, number = linear_sum_assignment(wanted[old] @ present[new].T, maximize=True)
        renamed[new][number] = slots[old][order]
    return _in_live_slots(renamed, live)


def _held(slots: NDArray[np.int64], experts: int) -> NDArray[np.int64]:
    """Return whether each GPU holds each expert, 0 or 1, int64 ``[gpus, experts]``."""
    held = np.zeros((len(slots), experts + 1), np.int64)
    held[np.arange(len(slots))[:, None], slots] = 1
    return held[:, :-1]


def _by_node(held: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    """Return how many replicas of each expert a node holds, int64 ``[nodes, experts]``."""
    return np.asarray(held.reshape(nodes, -1, held.shape[1]).sum(axis=1), np.int64)


def _in_live_slots(slots: NDArray[np.int64], live: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put every expert that lives on its GPU already into the slot where it does, the others into those between."""
    same = live[:, :, None] == slots[:, None, :]
    placed = live.copy()
    placed[~same.any(axis=2)] = slots[~same.any(axis=1)]  # as many on each GPU, and GPU by GPU
    return placed
