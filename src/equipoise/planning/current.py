"""Current: what lives where when a search begins, and whose home is where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.domains import least_slots_per_gpu, live_gpus
from equipoise.planning.homes import ANYWHERE, homes, too_far

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.cluster import Cluster
    from equipoise.planning.request import Request


@dataclass(frozen=True, eq=False)
class Current:
    """What a search begins with.

    Attributes
    ----------
    request : Request
        What is asked.
    start : Placement
        The placement to start from, perhaps of another cluster: the live one, or one that steps 1 to 3 lead to.
    most_off_node : float
        Share of the load of all layers that may stay where it is served off its home node.
    """

    request: Request
    start: Placement
    most_off_node: float

    @property
    def counts_moves(self) -> bool:
        """Whether an expert that a GPU did not hold costs anything: where a placement is live."""
        return self.request.current is not None

    @property
    def counts(self) -> NDArray[np.float64]:
        """Mean expert loads, float64 ``[layers, experts]``."""
        return self.request.scenarios.mean

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean load of the live GPUs, float64 ``[layers]``; 1 where a layer is idle."""
        mean = self.counts.sum(axis=1) / len(self.gpus)
        return np.where(mean > 0, mean, 1.0)

    def share_of_all(self, load: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a load as a share of that of all layers together."""
        return np.asarray(load / (float(self.counts.sum()) or 1.0))

    @property
    def gpus(self) -> list[int]:
        """The live GPUs, the only ones that the search knows."""
        return list(self.request.cluster.live)

    @cached_property
    def resident(self) -> Placement:
        """What lives on the cluster at the start, on the same GPUs, in as many slots as there were."""
        return resident(self.start, self.request.cluster)

    @cached_property
    def planned(self) -> int:
        """Slots of a GPU that hold different experts: as many as its node's groups have, and as many as must or do."""
        request, experts = self.request, self.resident.experts
        must = least_slots_per_gpu(experts, request.min_replicas, live_gpus(request.cluster, request.across))
        most_live = int((self.live >= 0).sum(axis=2).max())
        return min(request.cluster.slots_per_gpu, max(experts // request.home_nodes, must or 1, most_live))

    @cached_property
    def home(self) -> NDArray[np.int64]:
        """The node on which serving each expert costs nothing, int64 ``[layers, experts]``; -1 for any.

        Where every replica must be at home, one that is saves a move, whatever it serves.
        """
        counts = np.zeros_like(self.counts) if self.request.strict else self.counts
        return homes(self.resident, self.request.bound_groups, counts)

    @cached_property
    def node(self) -> NDArray[np.int64]:
        """The node of each live GPU, int64 ``[live GPUs]``."""
        return np.array(self.gpus) // self.request.cluster.gpus_per_node

    @cached_property
    def once(self) -> NDArray[np.int64]:
        """The expert in each slot at the start, int64 ``[layers, live GPUs, slots]``; -1 where it repeats another."""
        slots = self.resident.by_gpu[:, self.gpus]
        earlier = np.tri(slots.shape[2], k=-1, dtype=np.bool_)
        repeated = ((slots[..., :, None] == slots[..., None, :]) & earlier).any(axis=3)
        return np.ascontiguousarray(np.where(repeated, -1, slots))

    @cached_property
    def live(self) -> NDArray[np.int64]:
        """The expert in each slot that may stay there, int64 ``[layers, live GPUs, slots]``; -1 in the others."""
        if self.request.home_nodes == 1:
            return self.once
        leaves = too_far(self.once, self.counts, self.home, self.node, self.most_off_node)
        return np.where(leaves, -1, self.once)

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """Whether each live GPU holds each expert's weights, bool ``[layers, live GPUs, experts]``."""
        return np.ascontiguousarray(self.resident.held[:, self.gpus])

    def placed(self, slots: NDArray[np.int64]) -> Placement:
        """Return the placement with these experts on the live GPUs, int64 ``[layers, live GPUs, slots per GPU]``.

        A GPU with more slots than its node has experts has -1 in those that were not planned. They hold the experts of
        their GPU once more: what was there, or in turn. Experts that are off their home node are not repeated, unless
        the GPU has no others.
        """
        slots, before = slots.copy(), self.resident.by_gpu[:, self.gpus]
        for layer, gpu in np.argwhere(slots.min(axis=2) < 0):
            row = slots[layer, gpu]
            experts, free = np.unique(row[row >= 0]), np.flatnonzero(row < 0)
            at_home = experts[np.isin(self.home[layer, experts], (ANYWHERE, self.node[gpu]))]
            experts = at_home if at_home.size else experts
            row[free] = np.resize(experts, len(free))
            free = free[free < before.shape[2]]
            there = before[layer, gpu, free]
            row[free] = np.where(np.isin(there, experts), there, row[free])
        return Placement.on_live(slots, self.request.cluster, self.resident.experts)


def resident(placement: Placement, cluster: Cluster) -> Placement:
    """Return what of a placement lives on a cluster: GPUs keep their numbers; those dead or new hold nothing."""
    before = placement.by_gpu
    gpus = [gpu for gpu in cluster.live if gpu < placement.cluster.gpus]
    slots = np.full((placement.layers, cluster.gpus, before.shape[2]), -1)
    slots[:, gpus] = before[:, gpus]
    as_wide = replace(cluster, slots_per_gpu=before.shape[2])
    return Placement(slots.reshape(placement.layers, -1), as_wide, placement.experts)
