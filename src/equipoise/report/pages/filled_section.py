"""What a router that fills makes of the plan, beside engines, which share evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.report.pages.page import Section, Table

if TYPE_CHECKING:
    from equipoise.planning.plan import Plan


def filled_section(plan: Plan) -> Section:
    """Return the section about a plan for filled routing."""
    level, layers = int((plan.primaries_over == 0).sum()), plan.loads.layers
    rows = [
        (name, *(f"{plan.mean_of(plan.scenarios.par(placement, routing)):.4f}" for routing in ("even", "filled")))
        for name, placement in (("before", plan.before), ("after", plan.placement))
    ]
    return Section(
        "filled",
        "What filling makes of it",
        "The plan is for a router that fills: it shares what an expert gets over its replicas so that GPU loads are as "
        "even as the placement allows. Engines share it evenly. What is too little to be shared goes to an expert's "
        f"primary: no GPU has more of these than need be in {level} of the {layers} layers.",
        table=Table("PAR by routing", ("placement", "PAR even", "PAR filled"), rows),
    )
