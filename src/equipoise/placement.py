"""Placement: which expert each slot holds, what follows from it, and whether it is valid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from equipoise.errors import InputError, check_choice, check_count, check_share
from equipoise.loads import checked_decoder_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from equipoise.cluster import Cluster
    from equipoise.loads import Loads

Locality = Literal["strict", "soft", "none"]
Across = Literal["gpus", "nodes"]


@dataclass(frozen=True, eq=False)
class Placement:
    """The expert in every slot of every layer.

    Parameters
    ----------
    phy2log : array_like of int, ``[layers, slots]``
        Logical expert in each slot, -1 in an empty one; kept as int64.
    cluster : Cluster
        Where the slots are.
    experts : int
        Logical experts of each layer.
    groups : int
        Expert groups (blocks of consecutive experts) that it was planned with; 1 for none.
    locality : "strict", "soft" or "none"
        Whether each group is kept on a node, may be served on others too, or does not matter.
    off_node : float
        Share of the load that may be served off its group's home node, where the locality is soft.
    decoder_layers : sequence of int, optional
        The model's own number of each layer, where it is known.

    Raises
    ------
    InputError
        If the shape is not ``[layers, cluster.slots]``, a slot holds what is no expert of the model, the groups do not
        divide the experts, or the decoder layers are not one rising number for each layer.

    Examples
    --------
    >>> from equipoise import Cluster
    >>> placement = Placement([[0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    >>> placement.logcnt.tolist(), placement.log2phy.tolist()
    ([[2, 1, 1]], [[[0, 3], [1, -1], [2, -1]]])
    """

    phy2log: NDArray[np.int64]
    cluster: Cluster
    experts: int
    groups: int
    locality: Locality
    off_node: float
    decoder_layers: tuple[int, ...] | None

    def __init__(
        self,
        phy2log: ArrayLike,
        cluster: Cluster,
        experts: int,
        *,
        groups: int = 1,
        locality: Locality = "none",
        off_node: float = 1.0,
        decoder_layers: Sequence[int] | None = None,
    ) -> None:
        check_count("experts", experts)
        array = np.asarray(phy2log)
        if array.ndim != 2 or array.dtype.kind not in "iu":
            raise InputError(
                f"the placement is {array.dtype} {list(array.shape)}; expected whole numbers [layers, slots]"
            )
        if array.shape[0] == 0 or array.shape[1] != cluster.slots:
            raise InputError(
                f"the placement has shape {list(array.shape)}; expected [layers, {cluster.slots}]: "
                f"{cluster.gpus} GPUs with {cluster.slots_per_gpu} slots each"
            )
        if array.min() < -1 or array.max() >= experts:
            layer, slot = (int(i) for i in np.argwhere((array < -1) | (array >= experts))[0])
            raise InputError(
                f"layer {layer}, slot {slot} holds expert {array[layer, slot]}; expected 0 to {experts - 1}, or -1 "
                f"for an empty slot"
            )
        owned = np.array(array, dtype=np.int64, order="C")
        owned.flags.writeable = False  # what follows from it is worked out once
        object.__setattr__(self, "phy2log", owned)
        object.__setattr__(self, "cluster", cluster)
        object.__setattr__(self, "experts", experts)
        object.__setattr__(self, "groups", check_count("groups", groups))
        if experts % groups:
            raise InputError(f"{experts} experts do not divide into {groups} groups")
        check_choice("locality", locality, get_args(Locality))
        object.__setattr__(self, "locality", locality)
        object.__setattr__(self, "off_node", check_share("off_node", off_node))
        object.__setattr__(self, "decoder_layers", checked_decoder_layers(decoder_layers, len(owned)))

    @classmethod
    def on_live(cls, slots: NDArray[np.int64], cluster: Cluster, experts: int) -> Placement:
        """Return the placement with these experts on the live GPUs, and nothing on the dead ones.

        slots: int64 ``[layers, live GPUs, slots per GPU]``.
        """
        by_gpu = np.full((len(slots), cluster.gpus, cluster.slots_per_gpu), -1)
        by_gpu[:, list(cluster.live)] = slots
        return cls(by_gpu.reshape(len(slots), -1), cluster, experts)

    @classmethod
    def default(cls, cluster: Cluster, experts: int, layers: int) -> Placement:
        """Return the engines' default layout: experts in order, redundant slots holding experts 0, 1, ... again."""
        return cls(np.tile(np.arange(cluster.slots) % experts, (layers, 1)), cluster, experts)

    @property
    def layers(self) -> int:
        """Mixture-of-Experts layers."""
        return len(self.phy2log)

    @property
    def live_slots(self) -> int:
        """Slots of all layers on GPUs that are not dead: what numbers of moves are shares of."""
        return self.layers * self.cluster.live_slots

    @property
    def by_gpu(self) -> NDArray[np.int64]:
        """The expert in each slot by the GPU that the slot is on, int64 ``[layers, gpus, slots per GPU]``."""
        return self.phy2log.reshape(self.layers, self.cluster.gpus, -1)

    @cached_property
    def logcnt(self) -> NDArray[np.int64]:
        """Replicas of each expert, int64 ``[layers, experts]``."""
        flat = self.phy2log + np.arange(self.layers)[:, None] * self.experts
        counts = np.bincount(flat[self.phy2log >= 0], minlength=self.layers * self.experts)
        return counts.reshape(self.layers, self.experts)

    @cached_property
    def log2phy(self) -> NDArray[np.int64]:
        """Slots of each expert in rising order, int64 ``[layers, experts, most replicas]``, padded with -1."""
        order = np.argsort(self.phy2log, axis=1, kind="stable")
        in_order = np.take_along_axis(self.phy2log, order, axis=1)
        layer, place = np.nonzero(in_order >= 0)
        expert = in_order[layer, place]
        empty = self.cluster.slots - self.logcnt.sum(axis=1)
        first = np.cumsum(self.logcnt, axis=1) - self.logcnt
        rank = place - empty[layer] - first[layer, expert]
        slots = np.full((self.layers, self.experts, int(self.logcnt.max())), -1, dtype=np.int64)
        slots[layer, expert, rank] = order[layer, place]
        return slots

    @cached_property
    def duplicates(self) -> NDArray[np.int64]:
        """Replicas that share a GPU with another replica of their expert, beyond the first, int64 ``[layers]``."""
        by_gpu = np.sort(self.by_gpu, axis=2)
        twice = (by_gpu[:, :, 1:] == by_gpu[:, :, :-1]) & (by_gpu[:, :, 1:] >= 0)
        return np.asarray(np.count_nonzero(twice, axis=(1, 2)), np.int64)

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """Whether each GPU holds each expert, bool ``[layers, gpus, experts]``."""
        layer, slot = np.nonzero(self.phy2log >= 0)
        held = np.zeros((self.layers, self.cluster.gpus, self.experts), np.bool_)
        held[layer, slot // self.cluster.slots_per_gpu, self.phy2log[layer, slot]] = True
        return held

    def spread(self, across: Across) -> NDArray[np.int64]:
        """Return how many different GPUs, or nodes, hold each expert, int64 ``[layers, experts]``.

        Losing fewer of them loses no expert.

        Examples
        --------
        >>> from equipoise import Cluster
        >>> placement = Placement([[0, 1, 1, 0, 2, 2]], Cluster(gpus=6, nodes=3), experts=3)
        >>> placement.spread("gpus").tolist(), placement.spread("nodes").tolist()
        ([[2, 2, 2]], [[2, 2, 1]])
        """
        if across == "gpus":
            return np.asarray(self.held.sum(axis=1), np.int64)
        by_node = self.held.reshape(self.layers, self.cluster.nodes, self.cluster.gpus_per_node, self.experts)
        return np.asarray(by_node.any(axis=2).sum(axis=1), np.int64)

    def check_loads(self, loads: Loads) -> None:
        """Refuse loads of another model.

        Raises
        ------
        InputError
            If they differ in layers or experts.
        """
        if (loads.layers, loads.experts) != (self.layers, self.experts):
            raise InputError(
                f"the loads have {loads.layers} layers of {loads.experts} experts, the placement {self.layers} of "
                f"{self.experts}; expected the same"
            )

    def validate(self, *, duplicates: bool = False) -> None:
        """Check that every expert has a replica, none two on one GPU, and that just the dead GPUs are empty.

        Where the locality is strict, each group must be on one node.

        Two on one GPU pass where a GPU has more slots than a node has experts, so that it cannot be avoided; and, with
        ``duplicates``, wherever they are: most engines serve such placements.

        Raises
        ------
        InputError
            Naming the first layer and expert, GPU or slot at fault.
        """
        dead = np.isin(np.arange(self.cluster.slots) // self.cluster.slots_per_gpu, self.cluster.dead)
        wrong = (self.phy2log < 0) != dead
        if wrong.any():
            layer, slot = (int(i) for i in np.argwhere(wrong)[0])
            where = f"layer {layer}, slot {slot}"
            if dead[slot]:
                raise InputError(f"{where} is on a dead GPU but holds expert {self.phy2log[layer, slot]}; expected -1")
            raise InputError(f"{where} is empty (-1) but its GPU is not dead; expected an expert")
        if not self.logcnt.all():
            layer, expert = (int(i) for i in np.argwhere(self.logcnt == 0)[0])
            raise InputError(f"layer {layer} holds no replica of expert {expert}; expected at least one of each")
        avoidable = self.cluster.slots_per_gpu <= self.experts // self.cluster.nodes
        if avoidable and not duplicates and self.duplicates.any():
            layer = int(np.argmax(self.duplicates > 0))
            by_gpu = np.sort(self.by_gpu[layer], axis=1)
            gpu, place = (int(i) for i in np.argwhere((by_gpu[:, 1:] == by_gpu[:, :-1]) & (by_gpu[:, 1:] >= 0))[0])
            raise InputError(
                f"layer {layer}, GPU {gpu} holds expert {by_gpu[gpu, place]} twice; expected different experts"
            )
        if self.locality == "strict":
            self._refuse_spread_groups()

    def _refuse_spread_groups(self) -> None:
        """Raise for the first group that is on several nodes."""
        by_node = (self.layers, self.cluster.nodes, self.cluster.gpus_per_node, self.groups, -1)
        nodes = np.asarray(self.held.reshape(by_node).any(axis=(2, 4)))  # [layers, nodes, groups]
        spread = np.argwhere(nodes.sum(axis=1) > 1)
        if len(spread):
            layer, group = (int(i) for i in spread[0])
            first, second = np.flatnonzero(nodes[layer, :, group])[:2]
            raise InputError(
                f"layer {layer}, group {group} is on nodes {first} and {second} but the locality is strict; expected "
                "one node"
            )
