"""Forecast: what is expected to come, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.planning.scenarios import Scenarios


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected to come, and why.

    Attributes
    ----------
    scenarios : Scenarios
        What to plan for.
    methods : tuple of str
        For each layer the method that its scenarios are made by.
    tested : dict of ndarray, float64 ``[cuts, layers]``
        The PAR that each method would have had on what came after earlier windows; empty where none was asked to
        choose, or the past is too short.
    """

    scenarios: Scenarios
    methods: tuple[str, ...]
    tested: dict[str, NDArray[np.float64]]

    def used(self) -> dict[str, int]:
        """Return in how many layers each method is used, the most used first."""
        names, layers = np.unique(self.methods, return_counts=True)
        return {str(names[i]): int(layers[i]) for i in np.argsort(-layers, kind="stable")}
