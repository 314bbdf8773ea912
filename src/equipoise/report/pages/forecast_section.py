"""Why the plan is for what it is for: what each forecast would have been worth in the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.forecasting.forecast import FIRST
from equipoise.report.figures.forecast_methods import forecast_methods, par_in_the_past
from equipoise.report.pages.page import Section, Table

if TYPE_CHECKING:
    from equipoise.planning.forecast import Forecast

PLANNED_FOR = {
    "last": "the last window",
    "sum": "all windows added up",
    "average-1": "an average whose weights halve with every window into the past",
    "average-4": "an average whose weights halve every 4 windows into the past",
    "deviation": "the mean and 0.67 standard deviations",
    "windows": "every window, one as well as another",
    "recent": "every window, but weights halve every 4 windows into the past",
    "factors": "loads that mix a few kinds of traffic, whose shares drift as they did",
}


def forecast_section(expected: Forecast, when: str = "") -> Section:
    """Return the section about a forecast that was chosen by backtest; ``when`` says at which decision."""
    par, used = par_in_the_past(expected), expected.used()
    cuts = len(next(iter(expected.tested.values())))
    rows = [
        (f"{method}: {PLANNED_FOR[method]}", f"{one.mean():.4f}", str(used.get(method, 0)))
        for method, one in par.items()
    ]
    return Section(
        "forecast",
        "The forecast chosen for every layer",
        f"{when}The past was cut in two (cuts: {cuts}), into what to plan by and what came then. A row is a forecast, "
        "with the PAR that plans by it would have had on what came, the least on top; a column is a layer, and a dot "
        f"marks what was chosen for it: “{FIRST}”, unless another was better by no accident.",
        [forecast_methods(expected)],
        Table("The forecasts", ("forecast", "past PAR", "layers"), rows),
    )
