"""Scenarios: windows that stand for the traffic to come, and how well each does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError
from equipoise.loads import Loads
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from equipoise.placement import Placement
    from equipoise.serving.slot_shares import Routing

# Comparing every window with every other takes time that grows with their square.
MOST_COMPARED = 64


@dataclass(frozen=True, eq=False)
class Scenarios:
    """What is planned for: windows any of which may come next.

    Parameters
    ----------
    loads : Loads or array_like, ``[windows, layers, experts]`` or fewer axes
        Expert loads. Every layer is scaled to the same total in all windows: a busy minute is no better forecast than
        a quiet one.
    weights : array_like, ``[windows]`` or ``[windows, layers]``, optional
        How well each window stands for what comes; all the same if not given. In windows in which a layer is idle it
        has no weight.

    Attributes
    ----------
    counts : ndarray, float64 ``[windows, layers, experts]``
        The loads, scaled.
    weights : ndarray, float64 ``[windows, layers]``
        Those of a layer add up to 1.

    Raises
    ------
    InputError
        If loads are not valid, or weights negative, not finite, of another shape or all zero.

    Examples
    --------
    >>> scenarios = Scenarios([[[30, 10]], [[2, 18]], [[0, 0]]], weights=[1, 3, 5])
    >>> scenarios.counts.tolist(), scenarios.weights.tolist()
    ([[[22.5, 7.5]], [[3.0, 27.0]], [[0.0, 0.0]]], [[0.25], [0.75], [0.0]])
    """

    counts: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __init__(self, loads: Loads | ArrayLike, weights: ArrayLike | None = None) -> None:
        loads = loads if isinstance(loads, Loads) else Loads(loads)
        seen = loads.counts.any(axis=2)
        weight = seen * _checked_weights(weights, seen.shape)
        weight = np.where(weight.any(axis=0), weight, np.where(seen.any(axis=0), seen, 1.0))
        object.__setattr__(self, "counts", loads.levelled)
        object.__setattr__(self, "weights", _frozen(weight / weight.sum(axis=0)))

    @classmethod
    def side_by_side(cls, several: list[Scenarios]) -> Scenarios:
        """Return the layers of several scenarios, of equally many windows, as those of one; every bit as it is."""
        joined = object.__new__(cls)
        object.__setattr__(joined, "counts", _frozen(np.concatenate([one.counts for one in several], axis=1)))
        object.__setattr__(joined, "weights", _frozen(np.concatenate([one.weights for one in several], axis=1)))
        return joined

    @property
    def windows(self) -> int:
        """Windows, those without weight too."""
        return len(self.counts)

    @property
    def layers(self) -> int:
        """Mixture-of-Experts layers."""
        return len(self.counts[0])

    @property
    def experts(self) -> int:
        """Logical experts of each layer."""
        return len(self.counts[0, 0])

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Weighted mean of the windows, float64 ``[layers, experts]``."""
        return np.asarray((self.weights[:, :, None] * self.counts).sum(axis=0))

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """Weighted standard deviation of each expert's load, float64 ``[layers, experts]``."""
        away = np.abs(self.counts - self.mean)
        most = np.maximum(away.max(axis=0), np.finfo(np.float64).tiny)  # whose square may be too large for a float
        return np.asarray(most * np.sqrt((self.weights[:, :, None] * (away / most) ** 2).sum(axis=0)))

    def folded(self, most: int) -> Scenarios:
        """Return at most so many windows, those that are alike merged into one with their weight, in order of time.

        Where there are more than ``MOST_COMPARED``, neighbours are merged before any are compared.
        """
        if self.windows <= most:
            return self
        if self.windows > MOST_COMPARED:
            kinds = np.arange(self.windows) * MOST_COMPARED // self.windows
            return self._merged(kinds).folded(most)
        from scipy.cluster.hierarchy import fcluster, ward

        points = self.counts.reshape(self.windows, -1) / (self.counts.max() or 1.0)
        return self._merged(fcluster(ward(points), most, "maxclust"))

    def _merged(self, kinds: NDArray[np.integer]) -> Scenarios:
        """Merge the windows of the same kind, ``[windows]``: the kind of each."""
        _, first, kind = np.unique(kinds, return_index=True, return_inverse=True)
        kind = np.argsort(np.argsort(first))[kind]  # in order of time
        total = np.zeros((len(first), self.layers))
        np.add.at(total, kind, self.weights)
        share = np.divide(self.weights, total[kind], out=np.zeros_like(self.weights), where=total[kind] > 0)
        counts = np.zeros((len(first), *self.counts.shape[1:]))
        for window, into in enumerate(kind):
            counts[into] += share[window][:, None] * self.counts[window]
        return Scenarios(counts, total)

    def peak(self, placement: Placement, routing: Routing = "even") -> NDArray[np.float64]:
        """Return the weighted mean over the windows of the largest GPU load, float64 ``[layers]``."""
        return np.asarray((self.weights * balance(placement, self.counts, routing=routing).peak).sum(axis=0))

    def par(self, placement: Placement, routing: Routing = "even") -> NDArray[np.float64]:
        """Return the weighted mean over the windows of PAR, float64 ``[layers]``."""
        return np.asarray((self.weights * balance(placement, self.counts, routing=routing).par).sum(axis=0))

    def mean_par(self, placement: Placement, routing: Routing = "even") -> float:
        """Return the mean of :meth:`par` over the layers with load; 1 where none has any."""
        busy = self.mean.any(axis=1)
        return float(self.par(placement, routing)[busy].mean()) if busy.any() else 1.0


def _checked_weights(weights: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return weights, ``[windows, 1]`` or ``[windows, layers]``, or say why they are none."""
    if weights is None:
        return np.ones((shape[0], 1))
    array = np.asarray(weights, np.float64)
    if array.shape not in (shape, shape[:1]):
        raise InputError(
            f"weights have shape {list(array.shape)}; expected [windows] or [windows, layers], {list(shape)}"
        )
    array = array.reshape(shape[0], -1)
    if not (np.isfinite(array) & (array >= 0)).all() or not array.any(axis=0).all():
        raise InputError("weights must be finite numbers of at least 0, and not all 0 for any layer")
    return array


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the array, which nobody writes to any more: what follows from it is worked out once."""
    array.flags.writeable = False
    return array
