"""Loads: how many token selections fell on each expert, window by window."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Loads:
    """Recorded expert loads.

    Parameters
    ----------
    counts : array_like, ``[experts]``, ``[layers, experts]`` or ``[windows, layers, experts]``
        Token selections of each expert. Kept as float64 ``[windows, layers, experts]``; integers beyond 2**53 are
        rounded to the nearest double. A layer of zeros is fine: it was idle.
    labels : tuple of str
        One name per window, where the source gives them.
    decoder_layers : sequence of int, optional
        The model's own number of each layer, rising, where the source gives them. Kept as a tuple.

    Raises
    ------
    InputError
        If the shape is none of the three, an axis is empty, a load is negative, NaN, infinite or not a number, or there
        is not one label for each window, or one rising number for each layer.

    Examples
    --------
    >>> loads = Loads([[90, 10, 40, 20]])
    >>> loads.windows, loads.layers, loads.experts
    (1, 1, 4)
    """

    counts: NDArray[np.float64]
    labels: tuple[str, ...] = ()
    decoder_layers: tuple[int, ...] | None = None

    def __init__(
        self, counts: ArrayLike, labels: tuple[str, ...] = (), decoder_layers: Sequence[int] | None = None
    ) -> None:
        array = _as_float64(counts)
        if array.ndim not in (1, 2, 3):
            raise InputError(
                f"loads have shape {list(array.shape)}; expected [experts], [layers, experts] "
                "or [windows, layers, experts]"
            )
        array = array.reshape((1,) * (3 - array.ndim) + array.shape)
        if array.size == 0:
            raise InputError(f"loads have shape {list(array.shape)}; expected at least one of each axis")
        _refuse_bad_values(array)
        if labels and len(labels) != array.shape[0]:
            raise InputError(f"{len(labels)} labels for {array.shape[0]} windows; expected one label per window")
        array.flags.writeable = False  # it has been checked
        object.__setattr__(self, "counts", array)
        object.__setattr__(self, "labels", tuple(labels))
        object.__setattr__(self, "decoder_layers", checked_decoder_layers(decoder_layers, array.shape[1]))

    @property
    def windows(self) -> int:
        """Windows of time."""
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
    def levelled(self) -> NDArray[np.float64]:
        """The loads, every layer scaled to the same total in all windows in which it is not idle."""
        total = self.counts.sum(axis=2)
        seen = total > 0
        usual = total.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        # Shares first: the ratio of two totals may be too large for a float.
        levelled: NDArray[np.float64] = self.counts / np.where(seen, total, 1.0)[:, :, None]
        levelled *= usual[:, None]
        # Equal totals leave every bit as it is.
        np.copyto(levelled, self.counts, where=(total == usual)[:, :, None])
        levelled.flags.writeable = False  # all scenarios of these loads share it
        return levelled

    def numbered(self, decoder_layers: Sequence[int] | None) -> Loads:
        """Return the same loads, whose counts are shared, with these numbers of their layers.

        Raises
        ------
        InputError
            If they are not one rising number for each layer.

        Examples
        --------
        >>> Loads([[90, 10], [40, 20]]).numbered([3, 4]).decoder_layers
        (3, 4)
        """
        numbered = copy(self)
        object.__setattr__(numbered, "decoder_layers", checked_decoder_layers(decoder_layers, self.layers))
        return numbered

    def sum(self) -> Loads:
        """Return the loads of all windows added up into one."""
        return self if self.windows == 1 else self._of(self.counts.sum(axis=0))

    def added_up(self, most: int) -> Loads:
        """Return at most so many windows, in order of time: idle ones are left out and neighbours added up.

        Examples
        --------
        >>> Loads([[[1, 2]], [[0, 0]], [[3, 4]], [[5, 6]]]).added_up(2).counts.tolist()
        [[[4.0, 6.0]], [[5.0, 6.0]]]
        """
        busy = np.flatnonzero(self.counts.any(axis=(1, 2)))
        if len(busy) == 0:
            return self._of(self.counts[-1])
        if len(busy) == self.windows <= most:
            return self
        counts = self.counts if len(busy) == self.windows else self.counts[busy]
        windows = min(len(busy), most)
        first = np.searchsorted(np.arange(len(busy)) * windows // len(busy), np.arange(windows + 1))
        # Many times faster than np.add.reduceat, which adds up along the first axis.
        return self._of(np.stack([counts[start:end].sum(axis=0) for start, end in pairwise(first)]))

    def _of(self, counts: NDArray[np.float64]) -> Loads:
        """Return other loads of the same layers."""
        return Loads(counts, decoder_layers=self.decoder_layers)


def _as_float64(counts: Any) -> NDArray[np.float64]:
    """Return ``counts`` as a C-ordered float64 array of our own, or say why it is not numbers."""
    try:
        array = np.asarray(counts)
    except ValueError:
        raise InputError("loads are ragged; expected rows of equal length, as many experts in every layer") from None
    if array.dtype.kind not in "uif":
        raise InputError(f"loads are of type {array.dtype}; expected integers or floating-point numbers")
    return np.array(array, dtype=np.float64, order="C")


def _refuse_bad_values(counts: NDArray[np.float64]) -> None:
    """Raise for the first NaN, infinite or negative load, and for totals too large for float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = counts.sum()
    if np.isfinite(total) and counts.min() >= 0:
        return
    bad = ~(np.isfinite(counts) & (counts >= 0))
    if not bad.any():
        raise InputError("loads add up to more than float64 can hold (1.8e308); scale them down")
    window, layer, expert = (int(i) for i in np.unravel_index(bad.argmax(), counts.shape))
    number = int(np.count_nonzero(bad))
    raise InputError(
        f"the load of window {window}, layer {layer}, expert {expert} is {counts[window, layer, expert]}; "
        f"expected a finite number of at least 0 ({number} such {'load' if number == 1 else 'loads'} in all)"
    )


def checked_decoder_layers(
    decoder_layers: Sequence[int] | None, layers: int, name: str = "decoder_layers"
) -> tuple[int, ...] | None:
    """Return the number of each layer in the model, or say why they are none; None where they are not known.

    Raises
    ------
    InputError
        If they are not as many rising numbers as there are layers.
    """
    if decoder_layers is None:
        return None
    numbers = tuple(decoder_layers)
    whole = all(isinstance(number, Integral) and number >= 0 for number in numbers)
    if len(numbers) != layers or not whole or any(a >= b for a, b in pairwise(numbers)):
        raise InputError(f"{name} are {numbers}; expected a rising number of at least 0 for each of {layers}")
    return tuple(map(int, numbers))
