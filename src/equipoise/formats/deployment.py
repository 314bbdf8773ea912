"""What engines' placement files do not say: the cluster, and which of the model's layers have experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.cluster import Cluster
from equipoise.errors import InputError, check_count, setting

if TYPE_CHECKING:
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
        the placement's layer 0 there, and its other layers right behind. Otherwise they are where the placement knows
        them to be, or begin at 0.
    num_layers : int, optional
        Decoder layers of the model in all; otherwise the last with experts is the last.
    moe_layer_step : int
        Which of the layers from there on have experts: every one, every second (2: Llama 4), ...

    Raises
    ------
    InputError
        If a number is negative or no whole number.

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
    moe_layer_step: int = 1

    def __post_init__(self) -> None:
        for name in ("gpus", "nodes", "num_layers", "moe_layer_step"):
            if getattr(self, name) is not None:
                check_count(setting(name), getattr(self, name))
        if self.first_moe_layer:
            check_count(setting("first_moe_layer"), self.first_moe_layer)

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

    def decoder_layers(self, placement: Placement) -> tuple[int, ...]:
        """Return where the placement's layers are among the decoder layers.

        Raises
        ------
        InputError
            If they do not fit into ``num_layers``.
        """
        first = self.first_moe_layer or 0
        numbers = tuple(range(first, first + placement.layers * self.moe_layer_step, self.moe_layer_step))
        if self.first_moe_layer is None and placement.decoder_layers:
            numbers = placement.decoder_layers
        end = numbers[-1] + 1
        if self.num_layers is not None and end > self.num_layers:
            raise InputError(
                f"{placement.layers} layers from layer {numbers[0]} on do not fit into {self.num_layers} decoder "
                f"layers; expected {setting('num_layers', end)} at least, or another {setting('first_moe_layer')}"
            )
        return numbers
