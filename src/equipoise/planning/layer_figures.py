"""The figures of every layer of a plan, under the names that tables have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from equipoise.planning.plan import Plan
    from equipoise.timing.time_saved import TimeSaved


def layer_figures(plan: Plan, times: Sequence[TimeSaved] = ()) -> dict[str, NDArray[Any]]:
    """Return by name what is known of every layer, ``[layers]`` each.

    times: what a layer takes before and after, for batches of some sizes.
    """
    figures: dict[str, NDArray[Any]] = {
        "PAR before": plan.par_before,
        "PAR after": plan.par,
        "bound": plan.bound_on_par,
        "gap": plan.gap,
        "moves": plan.moves,
    }
    if plan.placement.groups > 1:
        figures["served off its node"] = plan.off_node
    for saved in times:
        tokens = f"{saved.batch.tokens:,} tokens"
        figures[f"microseconds before, {tokens}"] = saved.before.by_layer(saved.weights)
        figures[f"microseconds after, {tokens}"] = saved.after.by_layer(saved.weights)
    return figures
