"""Which slot an expert is sent from to a GPU that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement

FROM_DISK = (0, 0, -1)  # no GPU is the sender, so none sends more for it


def source_slots(
    held: Placement,
    layer: NDArray[np.int64],
    expert: NDArray[np.int64],
    gpu: NDArray[np.int64],
    node: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the slot of ``held`` that each expert is sent from, -1 where no GPU holds it.

    The GPU that needs the expert comes first, then the others on its node, then all others. Of several, the one that
    sends fewest experts of the layer so far is chosen, ties to the lowest; the slot is its lowest with the expert.

    Parameters
    ----------
    held : Placement
        What every GPU can still read or send.
    layer, expert, gpu : ndarray, int64 ``[rows]``
        Who needs which expert, in the order in which senders are chosen.
    node : ndarray, int64 ``[gpus]``
        The node that each GPU is on.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> held = Placement([[0, 1, 2, 0]], Cluster(gpus=4), experts=4)
    >>> layer, expert, gpu = np.array([[0, 0, 0, 0], [0, 0, 0, 3], [1, 2, 1, 2]])
    >>> source_slots(held, layer, expert, gpu, node=np.array([0, 0, 1, 1])).tolist()
    [0, 3, 0, -1]
    """
    slots_of = held.log2phy.tolist()
    gpu_of = (np.arange(held.cluster.slots) // held.cluster.slots_per_gpu).tolist()
    sent = np.zeros((held.layers, held.cluster.gpus), np.int64).tolist()
    found = []
    for row_layer, row_expert, row_gpu in zip(layer.tolist(), expert.tolist(), gpu.tolist(), strict=True):
        choices = (
            (_distance(gpu_of[slot], row_gpu, node), sent[row_layer][gpu_of[slot]], slot)
            for slot in slots_of[row_layer][row_expert]
            if slot >= 0
        )
        distance, _, slot = min(choices, default=FROM_DISK)
        if distance:
            sent[row_layer][gpu_of[slot]] += 1
        found.append(slot)
    return np.array(found, np.int64)


def _distance(source: int, gpu: int, node: NDArray[np.int64]) -> int:
    """Return 0 for the same GPU, 1 for another on its node, 2 for any other."""
    return (source != gpu) + int(node[source] != node[gpu])
