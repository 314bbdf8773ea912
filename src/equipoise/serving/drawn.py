"""Batches that are drawn: the picks of every GPU, and the slots that serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import check_count, setting
from equipoise.serving.fill import fill
from equipoise.serving.slot_shares import FILLED, in_slots, served_by_rule, slot_shares, source_shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from equipoise.loads import Loads
    from equipoise.placement import Placement
    from equipoise.serving.slot_shares import Routing

DRAWS = 4


def own_picks(
    placement: Placement, loads: Loads, picks: int, sources: ArrayLike | None, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the picks of each GPU for each expert, float64 ``[layers, gpus, experts]``, window by window.

    They are Poisson numbers. The mean of one is what all GPUs pick in the layer, times the expert's share of the
    window's load, times the share of that which is of this GPU's tokens. The same seed draws the same.

    Parameters
    ----------
    placement : Placement
        Whose GPUs; dead ones bring no tokens unless ``sources`` says so.
    loads : Loads
        How often experts are picked.
    picks : int
        Picks of one GPU in one pass, on average: its tokens times the model's top-k.
    sources : array_like or None
        Loads by GPU; see :func:`equipoise.slot_shares`.
    seed : int
        Another seed, other picks.

    Raises
    ------
    InputError
        If ``picks`` is no whole number of at least 1, or the sources are not as they should be.
    """
    everything = check_count(setting("picks"), picks) * len(placement.cluster.live)
    shares, rng = source_shares(placement, sources), np.random.default_rng(seed)
    for counts in loads.counts:
        total = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
        yield rng.poisson(everything * share[:, None, :] * shares).astype(np.float64)


def served(
    placement: Placement, own: NDArray[np.float64], routing: Routing | ArrayLike, batch: int | None, floor: float
) -> NDArray[np.float64]:
    """Return the picks that each slot serves of those that each GPU brings, float64 ``[..., layers, slots]``.

    own: ``[..., layers, gpus, experts]``. Where the routing is filled, each GPU fills with its own, and splits an
    expert if all GPUs' picks of it would be more than the floor, were they like its own.
    """
    if not isinstance(routing, str):
        return np.asarray(in_slots(own.sum(axis=-2), placement) * slot_shares(placement, routing))
    if routing != FILLED:
        return served_by_rule(placement, routing, batch, own)
    batches = own.reshape(-1, *own.shape[-3:]).swapaxes(1, 2)  # [..., gpus, layers, experts]
    slots = [fill(placement, picks, floor / len(placement.cluster.live)).sum(axis=0) for picks in batches]
    return np.reshape(slots, (*own.shape[:-2], -1))
