"""Getting ready: the loops are compiled, or read from disk, before the time counts."""

from __future__ import annotations

from equipoise.cluster import Cluster
from equipoise.planner import plan


def get_ready(replanning: bool = True, windows: int = 1) -> None:
    """Compile the loops that planning for so many windows needs, and those of replanning too if they are wanted.

    That takes 10 to 30 seconds once, and half a second in every later process.
    """
    loads = windows * [[[1, 1]]]
    tiny = plan(loads, Cluster(gpus=2, nodes=2), groups=2).placement
    if replanning:
        plan(loads, tiny.cluster, groups=2, current=tiny)
