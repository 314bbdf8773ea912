"""Policies: when to change the placement that is live, and how far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from equipoise.errors import InputError, check_positive
from equipoise.forecasting.forecast import Method, forecast
from equipoise.migration.costs import Costs
from equipoise.migration.migration import Migration
from equipoise.planner import plan
from equipoise.replay.deepseek_rule import deepseek_rule
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from equipoise.loads import Loads
    from equipoise.placement import Placement


class Policy(Protocol):
    """Whatever decides which placement serves next."""

    def decide(self, past: Loads, current: Placement, groups: int) -> Placement:
        """Return the placement to serve with next, on the cluster of the current one.

        Parameters
        ----------
        past : Loads
            The windows served last, the oldest first.
        current : Placement
            The placement that is live.
        groups : int
            Expert groups, each kept on a node.
        """


@dataclass(frozen=True)
class Never:
    """Keep the placement that is live."""

    def decide(self, past: Loads, current: Placement, groups: int) -> Placement:
        """Return the current placement."""
        return current


@dataclass(frozen=True)
class DeepSeekRule:
    """Plan by DeepSeek's rule, as engines do today, for the past added up and whatever that moves."""

    def decide(self, past: Loads, current: Placement, groups: int) -> Placement:
        """Return what the rule makes of the past; it knows nothing of the current placement."""
        return deepseek_rule(past.sum().counts[0], current.cluster, groups)


@dataclass(frozen=True)
class Afresh:
    """Plan from nothing but the loads, whatever that moves."""

    def decide(self, past: Loads, current: Placement, groups: int) -> Placement:
        """Return a plan for the past that knows nothing of the current placement."""
        return plan(past, current.cluster, groups=groups, effort="fast").placement


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
        How to tell from the past what is expected; see :func:`equipoise.forecasting.forecast.forecast`.
    """

    max_moves: float
    min_gain: float = 0.0
    forecast: Method = "auto"

    def decide(self, past: Loads, current: Placement, groups: int) -> Placement:
        """Return a plan that is at most ``max_moves`` from the current placement."""
        expected = forecast(past, current.cluster, self.forecast, groups=groups).scenarios
        return plan(
            expected, current.cluster, groups=groups, current=current, max_moves=self.max_moves, min_gain=self.min_gain
        ).placement


@dataclass(frozen=True)
class Oracle:
    """Plan for the interval that comes, with any number of moves: a measure for policies that cannot know it."""

    def decide(self, past: Loads, current: Placement, groups: int) -> Placement:
        """Return a plan for ``past``, where :func:`equipoise.replay.simulate.simulate` puts the interval that comes."""
        return plan(past, current.cluster, groups=groups, current=current).placement


@dataclass(frozen=True)
class WhenWorth:
    """Follow another policy where that saves more time than its moves take, if what comes is like the past.

    Parameters
    ----------
    policy : Policy
        Any but the oracle.
    interval_seconds : float
        Time that the experts of all layers would take for the windows up to the next decision, in perfect balance;
        a PAR of 1.1 takes a tenth longer.
    costs : Costs
        What the moves take.

    Raises
    ------
    InputError
        If the policy is the oracle, or the time no finite number above 0.
    """

    policy: Policy
    interval_seconds: float
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        if isinstance(self.policy, Oracle):
            raise InputError("an oracle in WhenWorth would be shown the past; expected a policy that decides by it")
        object.__setattr__(self, "interval_seconds", check_positive("interval_seconds", self.interval_seconds))

    def decide(self, past: Loads, current: Placement, groups: int) -> Placement:
        """Return what the policy decides where that pays, and the current placement otherwise."""
        other = self.policy.decide(past, current, groups)
        gain = balance(current, past).par.mean() - balance(other, past).par.mean()
        pays = gain * self.interval_seconds > self.costs.stall(Migration(current, other))
        return other if pays else current
