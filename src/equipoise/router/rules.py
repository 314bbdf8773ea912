"""RoutingRules: what a router knows besides the picks and who holds what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.errors import InputError, setting

if TYPE_CHECKING:
    from equipoise.cluster import Cluster

FLOOR = 256  # up to so many picks, what an expert takes an H100 is its weights
FLOOR = 256  # up to so many picks, what an expert takes an H100 is its weights
TABLE = 64  # slots in an expert's row of the table
FEW = 2048  # picks of a batch up to which counting and filling are one launch
ROUNDS = {True: 4, False: 8}
"""Rounds of the fill, of few picks or many: a small batch is soon served, and most of its experts are not split."""
UNITS = 64  # of a pick; shares are whole numbers of units
MOST_UNITS = 2**24  # of a batch, so that 64 times as many are still below 2**31
HASH = 2654435769  # 2**32 / golden ratio, of a token's number in the batch: vLLM's rule, which tables are made for
EXPERT_TURN = 39  # entries by which experts begin later than the one before: not all first replicas for one token
NEVER = 2**31 - 1  # where the part of a single replica ends
NODE_MATE, OTHER_NODE, SIXTEENTHS = 1, 2, 16
"""Sixteenths of the mean GPU load by which GPUs count as fuller than the own one. What a GPU keeps is what a fill
gives it, so that nearness can only be had for evenness; so much costs 0.001 of the sum's PAR, for each GPU is near to
as many as any other."""
MOST_REPLICAS, MOST_SHARES = 8, 256
"""Replicas that the router uses of an expert; more where all experts' together are no more than 256."""


@dataclass(frozen=True)
class RoutingRules:
    """What a router knows of the cluster, and what it does not split.

    Attributes
    ----------
    cluster : Cluster
        Whose slots picks go to.
    experts : int
        Logical experts of each layer.
    rank : int or None
        The GPU that routes, where each brings tokens of its own; None where all route the same tokens and must choose
        alike.
    floor : int
        Picks, of all GPUs together, up to which an expert is not split.

    Raises
    ------
    InputError
        If the rank is no live GPU, or the floor no whole number from 0 on.
    """

    cluster: Cluster
    experts: int
    rank: int | None = None
    floor: int = FLOOR

    def __post_init__(self) -> None:
        if not isinstance(self.floor, int) or self.floor < 0:
            raise InputError(f"{setting('floor')} is {self.floor!r}; expected a whole number from 0 on")
        if self.rank is not None and self.rank not in self.cluster.live:
            raise InputError(f"{setting('rank')} is {self.rank!r}; expected the number of a live GPU, or None")

    @property
    def ranks(self) -> int:
        """GPUs that bring tokens of their own: one's own picks times these are the picks of all."""
        return 1 if self.rank is None else len(self.cluster.live)

    @property
    def turn(self) -> int:
        """Where in 64 this GPU begins, and rounds: each rank elsewhere, so that they do not all choose the same."""
        number = 0 if self.rank is None else self.cluster.live.index(self.rank)
        return (TABLE * number + TABLE // 2) // self.ranks

    @property
    def rows(self) -> int:
        """Most experts that can have several replicas, or the next power of two."""
        return power_of_two(max(self.cluster.slots - self.experts, 1))

    @property
    def replicas(self) -> int:
        """Replicas of an expert that the router uses, the primary first: a power of two."""
        possible = power_of_two(max(2, min(self.cluster.gpus, self.cluster.slots - self.experts + 1)))
        return min(possible, max(MOST_REPLICAS, MOST_SHARES // self.rows))

    @property
    def passes(self) -> int:
        """Times that GPUs above the level are left out before it counts; so many do nearly always."""
        return min(self.replicas - 1, 4)


def power_of_two(number: int) -> int:
    """Return the least power of two that is no less."""
    return int(1 << (number - 1).bit_length())


def units_of(picks: int) -> int:
    """Return how many units a pick is, in a batch of so many."""
    return max(1, min(UNITS, MOST_UNITS // power_of_two(max(picks, 1))))
