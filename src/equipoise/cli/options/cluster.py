"""The options of the cluster, and which one it is where they leave something open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from equipoise.cli.options.panels import CLUSTER
from equipoise.cluster import Cluster, nearest_fit
from equipoise.errors import InputError, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

Nodes = Annotated[int | None, typer.Option(min=1, help="Nodes they are in; otherwise 1.", rich_help_panel=CLUSTER)]
Redundant = Annotated[
    int | None,
    typer.Option(min=0, help="Slots of a layer beyond one for each expert; otherwise 0.", rich_help_panel=CLUSTER),
]
Slots = Annotated[
    int | None, typer.Option(min=1, help="Slots of a layer in all, instead of --redundant.", rich_help_panel=CLUSTER)
]
Dead = Annotated[
    list[int] | None,
    typer.Option(min=0, metavar="GPU", help="A GPU that failed; may be repeated.", rich_help_panel=CLUSTER),
]
SAMPLE = Cluster(gpus=32, nodes=4, slots_per_gpu=9)


@dataclass(frozen=True)
class ClusterOptions:
    """The cluster's options as they were given; None where they were not."""

    gpus: int | None
    nodes: int | None
    redundant: int | None
    slots: int | None
    dead: Sequence[int] | None

    def __post_init__(self) -> None:
        if self.slots is not None and self.redundant is not None:
            raise typer.BadParameter("say --slots or --redundant, not both", param_hint="--slots")

    def cluster(self, experts: int, like: Cluster | None, groups: int | None = None) -> Cluster:
        """Return the cluster for this many experts; what is left open is as in another cluster, if there is one.

        Raises
        ------
        InputError
            If the options do not fit each other. Where several must change, it says what would fit altogether.
        """
        gpus = self.gpus or (like.gpus if like else 1)
        nodes = self.nodes or (like.nodes if like else 1)
        try:
            return self._fitting(experts, like, gpus, nodes)
        except InputError as error:
            asked = {"nodes": nodes, "groups": groups or 1, "slots": self.slots or experts + (self.redundant or 0)}
            fit = nearest_fit(experts, gpus, **asked)
            others = [setting(name, number) for name, number in fit.items() if number != asked[name]]
            if len(others) < 2:
                raise
            raise InputError(f"{error.args[0]}. All that was asked fits with {' '.join(others)}") from None

    def _fitting(self, experts: int, like: Cluster | None, gpus: int, nodes: int) -> Cluster:
        dead = self.dead or (like.dead if like and not self.gpus else ())
        if self.slots is not None:
            slots_per_gpu = Cluster.for_slots(self.slots, experts=experts, gpus=gpus, nodes=nodes).slots_per_gpu
        elif self.redundant is not None or not like:
            redundant = self.redundant or 0
            slots_per_gpu = Cluster.for_experts(experts, gpus=gpus, nodes=nodes, redundant=redundant).slots_per_gpu
        else:
            slots_per_gpu = like.slots_per_gpu
        return Cluster(gpus=gpus, nodes=nodes, slots_per_gpu=slots_per_gpu, dead=dead)


def refuse_other_cluster(gpus: int | None, nodes: int | None, of: Cluster | None) -> None:
    """Refuse a cluster that is said of a file and is not its own; loads have none.

    Raises
    ------
    typer.BadParameter
        Naming the option, and what the file has.
    """
    for option, asked, has in (("--gpus", gpus, of and of.gpus), ("--nodes", nodes, of and of.nodes)):
        if asked not in (None, has):
            what = f"the placement has {has}" if of else "these are loads, which are of no cluster"
            raise typer.BadParameter(what, param_hint=option)
