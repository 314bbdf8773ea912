"""What moves between two placements: who sends which expert to whom, and in what order nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError, check_count, setting
from equipoise.migration.batches import in_batches
from equipoise.migration.senders import source_slots
from equipoise.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from equipoise.cluster import Cluster


def count_moves(before: Placement, after: Placement) -> NDArray[np.int64]:
    """Return how many experts a GPU needs and did not hold before, over all GPUs, int64 ``[layers]``.

    Both placements are of the same layers and experts; a GPU that only ``after`` has held nothing before. A change of
    slot on a GPU is no move.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> cluster = Cluster(gpus=2, slots_per_gpu=2)
    >>> before = Placement([[0, 1, 2, 3]], cluster, experts=4)
    >>> count_moves(before, Placement([[1, 0, 2, 1]], cluster, experts=4)).tolist()
    [1]
    """
    return np.asarray(moves_to_gpus(before, after).sum(axis=1), np.int64)


def moves_to_gpus(before: Placement, after: Placement) -> NDArray[np.int64]:
    """Return how many experts each GPU of ``after`` needs and did not hold before, int64 ``[layers, gpus]``."""
    moved = after.held.copy()
    stay = min(before.cluster.gpus, after.cluster.gpus)
    moved[:, :stay] &= ~before.held[:, :stay]
    return np.asarray(np.count_nonzero(moved, axis=2), np.int64)


@dataclass(frozen=True)
class Traffic:
    """What a migration reads and sends, in bytes.

    Attributes
    ----------
    within_nodes, between_nodes : int
        Sent from one GPU to another, on the same node or on different ones.
    from_disk : int
        Read from disk, because no GPU holds it any more.
    local : int
        Copied from one slot of a GPU to another.
    """

    within_nodes: int
    between_nodes: int
    from_disk: int
    local: int


class Migration:
    """The way from one placement to another: a row for every expert that must arrive in a slot it is not in yet.

    GPUs are matched by number, slots by their place on the GPU. What is on a GPU that is dead in either cluster is
    lost; a GPU that only ``before`` has is leaving, and still sends. Nodes are those of ``after``; a GPU that leaves is
    on the node that it was on.

    Every layer has batches of its own. In a batch a GPU talks to at most one other: it sends it at most one expert and
    receives at most one. Copies within a GPU and reads from disk are in batch 0. An expert that arrives waits in a
    buffer until what its slot held has been sent wherever it is needed. So every expert that was on a live GPU, and
    is to be on one, is on one throughout.

    Parameters
    ----------
    before, after : Placement
        Of the same layers and experts; GPUs, nodes and slots per GPU may differ.

    Attributes
    ----------
    layer, expert : ndarray, int64 ``[rows]``
        What must arrive; the rows are in the order of layer and slot.
    gpu, slot : ndarray, int64 ``[rows]``
        Where it must arrive; slots are numbered as in ``after``.
    source, source_slot : ndarray, int64 ``[rows]``
        The GPU that sends it, and the slot of ``before`` it is read from: a slot of the same GPU where it holds the
        expert, else of its node, else of any; of several GPUs the one that has sent fewest. -1 for both where it comes
        from disk, because no live GPU holds it.
    node : ndarray, int64 ``[gpus]``
        The node that each GPU of the larger cluster is on.
    batch : ndarray, int64 ``[rows]``
        When it is sent.
    commit : ndarray, int64 ``[rows]``
        The batch after which it takes its slot: the first by which it has arrived, and all that is read from what the
        slot held has been read.

    Raises
    ------
    InputError
        If the placements differ in layers or experts, or ``after`` has an expert on a dead GPU.

    Examples
    --------
    Three GPUs pass their experts on in a circle:

    >>> from equipoise import Cluster, Migration, Placement
    >>> cluster = Cluster(gpus=3)
    >>> migration = Migration(Placement([[0, 1, 2]], cluster, experts=3), Placement([[2, 0, 1]], cluster, experts=3))
    >>> migration.gpu.tolist(), migration.source.tolist()
    ([0, 1, 2], [2, 0, 1])
    >>> migration.batch.tolist(), migration.commit.tolist(), migration.staging
    ([1, 0, 2], [1, 2, 2], 1)
    """

    def __init__(self, before: Placement, after: Placement) -> None:
        _refuse_unlike(before, after)
        self.before, self.after = before, after
        held = _without(before, [*before.cluster.dead, *after.cluster.dead])
        self.layer, self.slot = _arriving(held, after)
        self.expert = after.phy2log[self.layer, self.slot]
        self.gpu = self.slot // after.cluster.slots_per_gpu
        self.node = _nodes(before.cluster, after.cluster)
        self.source_slot = source_slots(held, self.layer, self.expert, self.gpu, self.node)
        self.source = self.source_slot // before.cluster.slots_per_gpu  # -1 stays -1

    @cached_property
    def batch(self) -> NDArray[np.int64]:
        """When each row is sent, int64 ``[rows]``; worked out when asked for."""
        batch, sent = np.zeros_like(self.layer), self._sent
        for layer in range(self.after.layers):
            rows = np.flatnonzero(sent & (self.layer == layer))
            batch[rows] = in_batches(zip(self.source[rows].tolist(), self.gpu[rows].tolist(), strict=True))
        return batch

    @cached_property
    def commit(self) -> NDArray[np.int64]:
        """The batch after which each row takes its slot, int64 ``[rows]``; worked out when asked for."""
        clusters = self.before.cluster, self.after.cluster
        most_gpus, most_slots = max(c.gpus for c in clusters), max(c.slots_per_gpu for c in clusters)
        last_read = np.zeros((self.after.layers, most_gpus, most_slots), np.int64)
        read = self.source >= 0
        source_place = self.source_slot % self.before.cluster.slots_per_gpu
        np.maximum.at(last_read, (self.layer[read], self.source[read], source_place[read]), self.batch[read])
        place = self.slot % self.after.cluster.slots_per_gpu
        return np.maximum(self.batch, last_read[self.layer, self.gpu, place])

    def columns(self) -> dict[str, NDArray[np.int64]]:
        """Return the rows as columns by name, as ``pandas.DataFrame`` takes them."""
        names = ("layer", "expert", "gpu", "slot", "source", "source_slot", "batch", "commit")
        return {name: getattr(self, name) for name in names}

    @property
    def moves(self) -> NDArray[np.int64]:
        """Experts that arrive from another GPU or from disk, int64 ``[layers]``."""
        return self._count(self.source != self.gpu)

    @property
    def moved_share(self) -> float:
        """All moves as a share of the live slots of ``after``."""
        return float(self.moves.sum() / self.after.live_slots)

    @property
    def local(self) -> NDArray[np.int64]:
        """Experts that change their slot on a GPU, or get another slot there, int64 ``[layers]``."""
        return self._count(self.source == self.gpu)

    @property
    def from_disk(self) -> NDArray[np.int64]:
        """Experts that arrive from disk, int64 ``[layers]``."""
        return self._count(self.source < 0)

    @property
    def batches(self) -> NDArray[np.int64]:
        """Batches of each layer, int64 ``[layers]``; 0 where nothing arrives."""
        batches = np.zeros(self.after.layers, np.int64)
        np.maximum.at(batches, self.layer, self.batch + 1)
        return batches

    @cached_property
    def staging(self) -> int:
        """Most experts that still wait on one GPU when a batch is over and what is due has taken its slot."""
        waiting = np.zeros((self.after.layers, self.after.cluster.gpus, self.batches.max()), np.int64)
        np.add.at(waiting, (self.layer, self.gpu, self.batch), 1)
        np.add.at(waiting, (self.layer, self.gpu, self.commit), -1)
        return int(waiting.cumsum(axis=2).max(initial=0))

    def by_link(self) -> NDArray[np.int64]:
        """Return the experts sent from node to node, int64 ``[nodes, nodes]``, over all layers.

        Within a node, the diagonal, are those sent from one GPU to another.

        Examples
        --------
        >>> from equipoise import Cluster, Migration, Placement
        >>> before = Placement([[0, 1, 2, 0]], Cluster(gpus=4, nodes=2), experts=3)
        >>> Migration(before, Placement([[1, 0, 2, 1]], before.cluster, experts=3)).by_link().tolist()
        [[2, 1], [0, 0]]
        """
        nodes = int(self.node.max()) + 1
        experts = np.zeros((nodes, nodes), np.int64)
        np.add.at(experts, (self.node[self.source[self._sent]], self.node[self.gpu[self._sent]]), 1)
        return experts

    def bytes(self, expert_bytes: int) -> Traffic:
        """Return what is read and sent over all layers, where an expert of a layer has ``expert_bytes`` bytes.

        Raises
        ------
        InputError
            If ``expert_bytes`` is no whole number of at least 1.

        Examples
        --------
        >>> from equipoise import Cluster, Migration, Placement
        >>> before = Placement([[0, 1, 2, 0]], Cluster(gpus=4, nodes=2), experts=3)
        >>> Migration(before, Placement([[1, 0, 2, 1]], before.cluster, experts=3)).bytes(44_000_000)
        Traffic(within_nodes=88000000, between_nodes=44000000, from_disk=0, local=0)
        """
        expert_bytes = check_count(setting("expert_bytes"), expert_bytes)
        by_link = self.by_link()
        within_nodes = int(by_link.trace())
        return Traffic(
            within_nodes=within_nodes * expert_bytes,
            between_nodes=(int(by_link.sum()) - within_nodes) * expert_bytes,
            from_disk=int(self.from_disk.sum()) * expert_bytes,
            local=int(self.local.sum()) * expert_bytes,
        )

    @property
    def _sent(self) -> NDArray[np.bool_]:
        """Whether each row goes from one GPU to another."""
        return np.asarray((self.source >= 0) & (self.source != self.gpu))

    def _count(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of the rows each layer has."""
        return np.bincount(self.layer[rows], minlength=self.after.layers)


def _nodes(before: Cluster, after: Cluster) -> NDArray[np.int64]:
    """Return the node of each GPU, int64 ``[gpus of the larger cluster]``: where it is, or was if it leaves."""
    stays, leaves = np.arange(after.gpus), np.arange(after.gpus, before.gpus)
    return np.concatenate([stays // after.gpus_per_node, leaves // before.gpus_per_node])


def _refuse_unlike(before: Placement, after: Placement) -> None:
    """Raise for placements between which there is no way."""
    if (before.layers, before.experts) != (after.layers, after.experts):
        raise InputError(
            f"the placement before has {before.layers} layers of {before.experts} experts, the one after "
            f"{after.layers} of {after.experts}; expected the same"
        )
    lost = after.phy2log != _without(after, after.cluster.dead).phy2log
    if lost.any():
        layer, slot = (int(i) for i in np.argwhere(lost)[0])
        raise InputError(
            f"layer {layer}, slot {slot} of the placement after is on a dead GPU but holds expert "
            f"{after.phy2log[layer, slot]}; expected -1"
        )


def _without(placement: Placement, dead: Sequence[int]) -> Placement:
    """Return what is left of a placement when the dead GPUs hold nothing."""
    lost = np.isin(np.arange(placement.cluster.slots) // placement.cluster.slots_per_gpu, dead)
    return Placement(np.where(lost, -1, placement.phy2log), placement.cluster, placement.experts)


def _arriving(held: Placement, after: Placement) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the layer and the slot of every expert of ``after`` that is not in its slot yet."""
    gpus = min(held.cluster.gpus, after.cluster.gpus)
    places = min(held.cluster.slots_per_gpu, after.cluster.slots_per_gpu)
    there = np.full((after.layers, after.cluster.gpus, after.cluster.slots_per_gpu), -1, np.int64)
    there[:, :gpus, :places] = held.phy2log.reshape(held.layers, held.cluster.gpus, -1)[:, :gpus, :places]
    layer, slot = np.nonzero(after.phy2log != there.reshape(after.phy2log.shape))
    filled = after.phy2log[layer, slot] >= 0
    return layer[filled], slot[filled]
