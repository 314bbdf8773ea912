"""What engines' placement files do not say: the cluster, and which of the model's layers have experts."""

from __future__ import annotations

from dataclasses import dataclass

from equipoise.cluster import Cluster
from equipoise.errors import InputError, check_count, setting


@dataclass(frozen=True)
class Deployment:
    """The cluster and the model's layers, where a placement's file leaves them open.

    Parameters
    ----------
    gpus : int, optional
        GPUs in all; needed to read files that list slots without saying where one GPU ends.
    nodes : int, optional
        Nodes they are in; otherwise 1.
    first_moe_layer : int
        Decoder layers before the first with experts: 3 for DeepSeek-V3. Engines that count all decoder layers have
        the placement's layer 0 there, and its other layers right behind.
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
    >>> Deployment(first_moe_layer=3).decoder_layers(58)
    range(3, 61)
    """

    gpus: int | None = None
    nodes: int | None = None
    first_moe_layer: int = 0
    num_layers: int | None = None
    moe_layer_step: int = 1

    def __post_init__(self) -> None:
        for name in ("gpus", "nodes", "num_layers", "moe_layer_step"):
            if getattr(self, name) is not None:
                check_count(setting(name), getattr(self, name))
        if self.first_moe_layer != 0:
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

    def decoder_layers(self, moe_layers: int) -> range:
        """Return where the placement's layers are among the decoder layers.

        Raises
        ------
        InputError
            If they do not fit into ``num_layers``.
        """
        end = self.first_moe_layer + (moe_layers - 1) * self.moe_layer_step + 1
        if self.num_layers is not None and end > self.num_layers:
            raise InputError(
                f"{moe_layers} layers from layer {self.first_moe_layer} on do not fit into {self.num_layers} decoder "
                f"layers; expected {setting('num_layers', end)} at least, or another {setting('first_moe_layer')}"
            )
        return range(self.first_moe_layer, end, self.moe_layer_step)
