"""Which cluster a plan is for, where its options leave something open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE = Cluster(gpus=32, nodes=4, slots_per_gpu=9)


@dataclass(frozen=True)
class ClusterOptions:
    """The cluster's options as they were given; None where they were not."""

    gpus: int | None
    nodes: int | None
    redundant: int | None
    slots: int | None
    dead: Sequence[int] | None

    def cluster(self, experts: int, like: Cluster | None) -> Cluster:
        """Return the cluster for this many experts; what is left open is as in another cluster, if there is one.

        Raises
        ------
        InputError
            If the options do not fit each other.
        """
        gpus = self.gpus or (like.gpus if like else 1)
        nodes = self.nodes or (like.nodes if like else 1)
        dead = self.dead or (like.dead if like and not self.gpus else ())
        if self.slots is not None:
            slots_per_gpu = Cluster.for_slots(self.slots, experts=experts, gpus=gpus, nodes=nodes).slots_per_gpu
        elif self.redundant is not None or not like:
            redundant = self.redundant or 0
            slots_per_gpu = Cluster.for_experts(experts, gpus=gpus, nodes=nodes, redundant=redundant).slots_per_gpu
        else:
            slots_per_gpu = like.slots_per_gpu
        return Cluster(gpus=gpus, nodes=nodes, slots_per_gpu=slots_per_gpu, dead=dead)
