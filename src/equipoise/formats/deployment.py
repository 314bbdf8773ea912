"""What engines' placement files do not say: the cluster, and which of the model's layers have experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.cluster import Cluster
from equipoise.errors import InputError, check_count, setting
from equipoise.loads import Loads, checked_decoder_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.placement import Placement


@dataclass(frozen=True)
class Deployment:
    """The cluster and the model's layers, where a placement's file leaves them open.

    Parameters
    ----------
    gpus : int, optional
        GPUs in all; needed to read files that list slots without saying where one GPU ends.
    nodes : int, optional
        Nodes they are in; otherwise 1.
    first_moe_layer : int, optional
        Decoder layers before the first with experts: 3 for DeepSeek-V3. Engines that count all decoder layers have
        layer 0 there, and the other layers right behind.
    num_layers : int, optional
        Decoder layers of the model in all; otherwise the last with experts is the last.
    moe_layers : sequence of int, optional
        The decoder layers that have experts, instead of the first: ``(1, 3, 5, 7)`` where every second has. Kept as a
        tuple.

    Raises
    ------
    InputError
        If a number is negative or no whole number, the layers do not rise, or they and the first are both given.

    Examples
    --------
    >>> from equipoise import Placement
    >>> placement = Placement.default(Cluster(gpus=2, slots_per_gpu=4), experts=8, layers=4)
    >>> Deployment(first_moe_layer=3).decoder_layers(placement)
    (3, 4, 5, 6)
    """

    gpus: int | None = None
    nodes: int | None = None
    first_moe_layer: int | None = None
    num_layers: int | None = None
    moe_layers: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name in ("gpus", "nodes", "num_layers"):
            if getattr(self, name) is not None:
                check_count(setting(name), getattr(self, name))
        if self.first_moe_layer:
            check_count(setting("first_moe_layer"), self.first_moe_layer)
        if self.moe_layers is not None:
            if self.first_moe_layer is not None:
                raise InputError(f"say {setting('moe_layers')} or {setting('first_moe_layer')}, not both")
            numbers = checked_decoder_layers(self.moe_layers, len(self.moe_layers), setting("moe_layers"))
            object.__setattr__(self, "moe_layers", numbers)

    def cluster(self, slots: int) -> Cluster:
        """Return the cluster whose GPUs share this many slots.

        Raises
        ------
        InputError
            If the GPUs are not known, or the slots do not divide over them.
        """
        if self.gpus is None:
            raise InputError(
                f"lists {slots} slots but not which GPU they are on; say how many GPUs there are ({setting('gpus')})"
            )
        if slots % self.gpus:
            raise InputError(f"{slots} slots do not divide over {self.gpus} GPUs; expected as many on each")
        return Cluster(gpus=self.gpus, nodes=self.nodes or 1, slots_per_gpu=slots // self.gpus)

    def cluster_of(self, gpus: int, slots_per_gpu: int) -> Cluster:
        """Return the cluster with the GPUs that the file itself has."""
        return Cluster(gpus=gpus, nodes=self.nodes or 1, slots_per_gpu=slots_per_gpu)

    def decoder_layers(self, of: Placement | Loads) -> tuple[int, ...]:
        """Return where the layers of a placement, or of loads, are among the decoder layers.

        They are where this says, otherwise where they are known to be, or begin at 0.

        Raises
        ------
        InputError
            If there are not as many as this says, or they do not fit into ``num_layers``.
        """
        numbers = self.known_layers(of) or tuple(range(of.layers))
        end = numbers[-1] + 1
        if self.num_layers is not None and end > self.num_layers:
            raise InputError(
                f"{of.layers} layers from layer {numbers[0]} on do not fit into {self.num_layers} decoder layers; "
                f"expected {setting('num_layers', end)} at least, or another {setting('first_moe_layer')}"
            )
        return numbers

    def known_layers(self, of: Placement | Loads) -> tuple[int, ...] | None:
        """Return the numbers of the layers, as this says them or else as they are known; None where neither does.

        Raises
        ------
        InputError
            If there are not as many as this says.
        """
        if self.first_moe_layer is not None:
            return tuple(range(self.first_moe_layer, self.first_moe_layer + of.layers))
        if self.moe_layers is None:
            return of.decoder_layers
        if len(self.moe_layers) != of.layers:
            raise InputError(
                f"the layers with experts are {len(self.moe_layers)}, from {self.moe_layers[0]} to "
                f"{self.moe_layers[-1]}, and there are {of.layers} here; say which these are ({setting('moe_layers')})"
            )
        return tuple(self.moe_layers)
