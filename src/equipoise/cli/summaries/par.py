"""PAR, as all summaries of a placement and recorded loads have it: idle layers do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.serving.balance import Balance


def par_in_summary(served: Balance) -> dict[str, Any]:
    """Return the mean over windows and layers, the worst window of any layer, and each layer's mean over windows."""
    return {
        "mean": served.mean_par,
        "worst": float(served.par.max()),
        "by_layer": served.par_of_layers.tolist(),
    }
