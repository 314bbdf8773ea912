"""Counts as recorders write them: of slots, with steps that were never recorded, and whole where they are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads


def checked_map(phy2log: NDArray[Any]) -> NDArray[np.int64]:
    """Return the map ``[layers, slots]`` as int64; slots that held nothing are -1.

    Raises
    ------
    InputError
        If it is no such map: each expert has a slot, so that there are no more experts than slots.
    """
    if phy2log.ndim != 2 or phy2log.size == 0 or phy2log.dtype.kind not in "iu":
        raise InputError(
            f"the map is {phy2log.dtype} {list(phy2log.shape)}; expected the expert in each slot, [layers, slots]"
        )
    slots = phy2log.shape[1]
    bad = np.argwhere((phy2log < -1) | (phy2log >= slots))
    if len(bad):
        layer, slot = (int(i) for i in bad[0])
        raise InputError(
            f"in the map, layer {layer}, slot {slot} holds {phy2log[layer, slot]}; expected experts from 0 to "
            f"{slots - 1}, or -1 for none"
        )
    if phy2log.max() < 0:
        raise InputError("the map has no expert in any slot; expected one at least for each")
    return phy2log.astype(np.int64)


def logical_counts(counts: NDArray[Any], phy2log: NDArray[np.int64]) -> NDArray[Any]:
    """Add up the counts of each expert's slots.

    Parameters
    ----------
    counts : array of numbers, ``[..., layers, slots]``
        Token selections that each slot served.
    phy2log : array of int64, ``[layers, slots]``
        The map in force, from :func:`checked_map`.

    Returns
    -------
    array of the same numbers, ``[..., layers, experts]``
        Token selections of each expert; there are as many as the map's highest, and one.

    Raises
    ------
    InputError
        If the shapes do not fit, the counts are no numbers, or an empty slot has some.

    Examples
    --------
    >>> logical_counts(np.array([[5, 1, 2, 4]]), np.array([[0, 1, 2, 0]])).tolist()
    [[9, 1, 2]]
    """
    if counts.dtype.kind not in "uif":
        raise InputError(f"the counts are of type {counts.dtype}; expected integers or floating-point numbers")
    if counts.ndim < 2 or counts.shape[-2:] != phy2log.shape:
        raise InputError(
            f"the counts have shape {list(counts.shape)} and the map {list(phy2log.shape)}; expected the same layers "
            "and slots at the end of both"
        )
    if counts[..., phy2log < 0].any():
        raise InputError("the counts have load in slots that the map says are empty; expected none")
    experts = int(phy2log.max()) + 1
    logical = np.zeros((*counts.shape[:-1], experts), counts.dtype if counts.dtype.kind == "f" else np.int64)
    for layer, row in enumerate(phy2log):
        order = np.argsort(row, kind="stable")
        held, starts = np.unique(row[order], return_index=True)
        sums = np.add.reduceat(counts[..., layer, order], starts, axis=-1, dtype=logical.dtype)
        logical[..., layer, held[held >= 0]] = sums[..., held >= 0]
    return logical


def recorded_steps(counts: NDArray[Any]) -> NDArray[Any]:
    """Return the steps of a ring buffer, ``[steps, layers, anything]``, without those of nothing but zeros.

    Most of a buffer may be empty, and is left out before there are float64 of it. Once the buffer has wrapped, the
    steps are not in the order of time. If nothing was recorded, all steps stay; so does what is no such buffer.
    """
    if counts.ndim != 3 or counts.dtype.kind not in "uif":
        return counts
    recorded = counts.any(axis=(1, 2))
    return counts if recorded.all() or not recorded.any() else counts[recorded]


def recorded_counts(loads: Loads) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return the counts as int64 if all are whole and fit, otherwise as they are, float64."""
    counts = loads.counts
    whole = counts.max() < 2**63 and np.array_equal(counts, np.floor(counts))
    return counts.astype(np.int64) if whole else counts
