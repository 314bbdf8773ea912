"""Policies: when to change the placement that is live, and how far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from equipoise.errors import check_positive, setting
from equipoise.migration.costs import Costs
from equipoise.migration.migration import Migration
from equipoise.planning.scenarios import Scenarios
from equipoise.replay.deepseek_rule import deepseek_rule
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from equipoise.forecasting.forecast import Method
    from equipoise.placement import Placement
    from equipoise.replay.situation import Situation


# What the policy that knows what comes is called wherever it stands beside others.
ORACLE = "oracle"


class Policy(Protocol):
    """Whatever decides which placement serves next."""

    def decide(self, situation: Situation) -> Placement:
        """Return the placement to serve with next, on the cluster of the one that is live."""


@dataclass(frozen=True)
class Never:
    """Keep the placement that is live."""

    def decide(self, situation: Situation) -> Placement:
        """Return the current placement."""
        return situation.current


@dataclass(frozen=True)
class DeepSeekRule:
    """Plan by DeepSeek's rule, as engines do today, for the past added up and whatever that moves."""

    def decide(self, situation: Situation) -> Placement:
        """Return what the rule makes of the past; it knows nothing of the current placement."""
        return deepseek_rule(situation.past.sum().counts[0], situation.current.cluster, situation.groups)


@dataclass(frozen=True)
class Afresh:
    """Plan from nothing but the loads, whatever that moves, and fast."""

    def decide(self, situation: Situation) -> Placement:
        """Return a plan for the past that knows nothing of the current placement."""
        return situation.planned(Scenarios(situation.past), effort="fast")


@dataclass(frozen=True)
class FewMoves:
    """Plan for what is expected to come, from the placement that is live and within a budget.

    Parameters
    ----------
    max_moves : int or float
        Moves of one decision at most: a number for all layers together, or, as a float, a share of all slots.
    min_gain : float
        Share by which the mean PAR of what is expected must fall; otherwise nothing moves.
    forecast : str
        How to tell from the past what is expected; see :func:`equipoise.forecast`.
    """

    max_moves: float
    min_gain: float = 0.0
    forecast: Method = "auto"

    def decide(self, situation: Situation) -> Placement:
        """Return a plan that is at most ``max_moves`` from the current placement."""
        expected = situation.expected(self.forecast).scenarios
        return situation.planned(expected, current=situation.current, max_moves=self.max_moves, min_gain=self.min_gain)


@dataclass(frozen=True)
class Oracle:
    """Plan for the interval that comes, with any number of moves: a measure for policies that cannot know it."""

    def decide(self, situation: Situation) -> Placement:
        """Return a plan for what comes, which no other policy looks at."""
        return situation.planned(Scenarios(situation.coming), current=situation.current)


@dataclass(frozen=True)
class WhenWorth:
    """Follow another policy where that saves more time than its moves take, if what comes is like the past.

    Parameters
    ----------
    policy : Policy
        The other.
    interval_seconds : float
        Time that the experts of all layers would take for the windows up to the next decision, in perfect balance;
        a PAR of 1.1 takes a tenth longer.
    costs : Costs
        What the moves take.

    Raises
    ------
    InputError
        If the time is no finite number above 0.
    """

    policy: Policy
    interval_seconds: float
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval_seconds", check_positive(setting("interval_seconds"), self.interval_seconds))

    def decide(self, situation: Situation) -> Placement:
        """Return what the policy decides where that pays, and the current placement otherwise."""
        current, other = situation.current, self.policy.decide(situation)
        gain = balance(current, situation.past).mean_par - balance(other, situation.past).mean_par
        pays = gain * self.interval_seconds > self.costs.stall(Migration(current, other))
        return other if pays else current
