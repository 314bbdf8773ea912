"""Costs: how long a migration holds up what is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import check_count, check_positive, setting

if TYPE_CHECKING:
    from equipoise.migration.migration import Migration


@dataclass(frozen=True)
class Costs:
    """What it costs to send an expert from one GPU to another.

    Parameters
    ----------
    expert_bytes : int
        Weights of an expert of one layer; 44 MB in DeepSeek-V3.
    within_nodes, between_nodes : float
        Bytes that a GPU sends in a second, and receives in the same second, to and from GPUs of its own node and of
        others: by default 400 GB (NVLink) and 50 GB (a network card of 400 Gbit/s for each GPU).

    Raises
    ------
    InputError
        If a number is not positive and finite.
    """

    expert_bytes: int = 44_000_000
    within_nodes: float = 400e9
    between_nodes: float = 50e9

    def __post_init__(self) -> None:
        object.__setattr__(self, "expert_bytes", check_count(setting("expert_bytes"), self.expert_bytes))
        for name in ("within_nodes", "between_nodes"):
            object.__setattr__(self, name, check_positive(setting(name), getattr(self, name)))

    def stall(self, migration: Migration) -> float:
        """Return the seconds that the busiest link of any GPU takes for what it sends or receives, over all layers.

        All links work at once and at full speed, so a real migration takes longer; what is served waits for all of it.
        Copies within a GPU and reads from disk take no time here.

        Examples
        --------
        >>> from equipoise import Cluster, Migration, Placement
        >>> before = Placement([[0, 1, 2, 0]], Cluster(gpus=4, nodes=2), experts=3)
        >>> migration = Migration(before, Placement([[1, 0, 2, 1]], before.cluster, experts=3))
        >>> migration.source.tolist(), migration.gpu.tolist()
        ([1, 0, 1], [0, 1, 3])
        >>> Costs(expert_bytes=100, within_nodes=50, between_nodes=10).stall(migration)
        10.0
        """
        source, gpu = migration.source, migration.gpu
        node = migration.node
        sent = (source >= 0) & (source != gpu)
        within = node[source] == node[gpu]
        seconds = (
            np.bincount(end[sent & link]).max(initial=0) * self.expert_bytes / speed
            for end in (source, gpu)
            for link, speed in ((within, self.within_nodes), (~within, self.between_nodes))
        )
        return float(max(seconds))
