"""Situation: what a policy decides by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from equipoise.forecasting.forecast import expect
from equipoise.planner import plan
from equipoise.planning.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.forecasting.forecast import Method
    from equipoise.loads import Loads
    from equipoise.placement import Placement
    from equipoise.planning.forecast import Forecast
    from equipoise.planning.scenarios import Scenarios


@dataclass(frozen=True, eq=False)
class Situation:
    """What a policy decides by.

    Attributes
    ----------
    past : Loads
        The windows served last, the oldest first.
    coming : Loads
        The windows up to the next decision, which none but the oracle looks at.
    current : Placement
        The placement that is live.
    asked : mapping of str
        What all plans of a replay are asked for: arguments of :func:`equipoise.plan` such as ``groups`` and ``effort``.
    """

    past: Loads
    coming: Loads
    current: Placement
    asked: Mapping[str, Any] = field(default_factory=dict)
    _forecasts: dict[Method, Forecast] = field(default_factory=dict, repr=False)

    @property
    def groups(self) -> int:
        """Expert groups of the model."""
        return self.asked.get("groups") or 1

    def expected(self, method: Method) -> Forecast:
        """Return what the past says of what comes, worked out once for all policies that decide in its place."""
        if method not in self._forecasts:
            self._forecasts[method] = expect(Request.checked(self.past, self.current.cluster, **self.asked), method)
        return self._forecasts[method]

    def planned(self, scenarios: Scenarios, **asked: Any) -> Placement:
        """Return a plan for these scenarios, asked for what all plans are, and for this."""
        return plan(scenarios, self.current.cluster, **{**self.asked, **asked}).placement
