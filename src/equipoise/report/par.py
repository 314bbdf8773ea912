"""PAR of a plan's layers, before and at best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.balance import balance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.planner import Plan


def par_before(plan: Plan) -> NDArray[np.float64]:
    """Return PAR with the placement that moves are counted from, ``[layers]``."""
    return np.asarray(balance(plan.before, plan.loads).par[0])


def bound_on_par(plan: Plan) -> NDArray[np.float64]:
    """Return the bound in units of the mean GPU load, ``[layers]``; 1 for idle layers."""
    return np.divide(plan.bound, plan.mean, out=np.ones_like(plan.bound), where=plan.mean > 0)
