"""Batch: the tokens that every GPU brings to one pass, and what it costs to serve them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.errors import InputError, check_count, setting

if TYPE_CHECKING:
    from equipoise.timing.expert_cost import ExpertCost

MOST_TOKENS = 10**7


@dataclass(frozen=True)
class Batch:
    """One pass through the model: a few hundred tokens a GPU in decode, thousands in prefill.

    Parameters
    ----------
    tokens : int
        Tokens that each live GPU brings.
    top_k : int
        Experts that a token selects in each layer.
    cost : ExpertCost
        What the tokens of experts take on a GPU.

    Raises
    ------
    InputError
        If a number is not whole, below 1, or above 10,000,000.
    """

    tokens: int
    top_k: int
    cost: ExpertCost

    def __post_init__(self) -> None:
        for name in ("tokens", "top_k"):
            number = check_count(setting(name), getattr(self, name))
            if number > MOST_TOKENS:
                raise InputError(f"{setting(name)} is {number}; expected at most {MOST_TOKENS:,}")
            object.__setattr__(self, name, number)

    def picks(self, gpus: int) -> int:
        """Return the picks in a layer of the tokens of so many GPUs."""
        return self.tokens * self.top_k * gpus
