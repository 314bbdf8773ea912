"""Cell: what one setup reaches with batches of one size, under one routing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.serving.slot_shares import Routing


@dataclass(frozen=True)
class Cell:
    """What was asked, and what came of it.

    Attributes
    ----------
    gpus, nodes, slots_per_gpu, groups : int
        The setup.
    tokens : int
        Tokens that each GPU brings to a pass.
    routing : str
        Which replica a token goes to.
    par : float
        PAR of the windows that came after each plan, mean over them and the layers; of what is filled, with all picks
        known.
    layer_time : float
        Microseconds of a layer in those windows, mean over them and the layers.
    error : float
        Their standard error, of what was drawn.
    beyond : bool
        Whether experts got more tokens than were measured.
    memory : int or None
        Bytes of the experts of all layers on a GPU; None where those of one expert are not known.
    tokens_per_second : float
        Tokens that a GPU serves in a second if nothing but its experts took time, in all layers that are not idle.
    """

    gpus: int
    nodes: int
    slots_per_gpu: int
    groups: int
    tokens: int
    routing: Routing
    par: float
    layer_time: float
    error: float
    beyond: bool
    memory: int | None
    tokens_per_second: float

    @property
    def deployment(self) -> tuple[int, int, int]:
        """GPUs, nodes and groups: what slots and routing are chosen for."""
        return self.gpus, self.nodes, self.groups

    def figures(self) -> dict[str, Any]:
        """Return all by name."""
        return asdict(self)
