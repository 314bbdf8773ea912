"""Pools for the tests: random ones, ones with given contents, and what must be true of any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from equipoise.solver.pool import Pool, empty_pool, empty_queues
from tests.solver.compiled import pack_pool, replicate_experts

if TYPE_CHECKING:
    from collections.abc import Sequence


@st.composite
def layers(draw, most_experts=16, most_gpus=6):
    """Loads, GPUs and slots per GPU of one pool in which no expert need be twice on a GPU."""
    experts, gpus = draw(st.integers(1, most_experts)), draw(st.integers(1, most_gpus))
    slots_per_gpu = draw(st.integers(-(-experts // gpus), experts))
    load = draw(st.lists(st.integers(0, 1000), min_size=experts, max_size=experts))
    return load, gpus, slots_per_gpu


def loaded_pool(load: Sequence[float], gpus: int, slots_per_gpu: int) -> Pool:
    """Return a pool that knows the loads of its experts and no more."""
    pool = empty_pool(len(load), gpus, slots_per_gpu)
    pool.load[:] = load
    return pool


def replicated_pool(load: Sequence[float], gpus: int, slots_per_gpu: int) -> Pool:
    """Return a pool whose experts have their counts."""
    pool = loaded_pool(load, gpus, slots_per_gpu)
    replicate_experts(pool, empty_queues(len(load), gpus))
    return pool


def packed_pool(load: Sequence[float], gpus: int, slots_per_gpu: int, copies: Sequence[int] | None = None) -> Pool:
    """Return a pool whose replicas are packed, with the given counts or those of the second step."""
    pool = replicated_pool(load, gpus, slots_per_gpu)
    if copies is not None:
        pool.copies[:] = copies
    pack_pool(pool, empty_queues(len(load), gpus))
    return pool


def pool_of(load: Sequence[float], slots: Sequence[Sequence[int]]) -> Pool:
    """Return a pool that holds exactly these experts on its GPUs."""
    pool = loaded_pool(load, len(slots), len(slots[0]))
    pool.copies[:] = np.bincount(np.ravel(slots), minlength=len(load))
    pool.share[:] = pool.load / pool.copies
    for expert, copies in enumerate(pool.copies):
        pool.holders[expert, :copies] = [gpu for gpu, held in enumerate(slots) if expert in held]
    for gpu, held in enumerate(slots):
        pool.slots[gpu] = sorted(held, key=lambda expert: -pool.share[expert])
    pool.pieces[:] = pool.share[pool.slots]
    pool.gpu_load[:] = pool.pieces.sum(axis=1)
    pool.ranking[:] = np.argsort(-pool.gpu_load, kind="stable")
    assert_consistent(pool)
    return pool


def assert_consistent(pool: Pool) -> None:
    """Check that all that a pool says of itself follows from its slots and loads, and that no GPU holds one twice."""
    gpus, slots_per_gpu = pool.slots.shape
    assert [len(set(held)) for held in pool.slots.tolist()] == [slots_per_gpu] * gpus
    counts = np.bincount(pool.slots.ravel(), minlength=pool.load.size)
    assert pool.copies.tolist() == counts.tolist()
    assert counts.min() >= 1
    for expert, copies in enumerate(pool.copies):
        holders = np.flatnonzero((pool.slots == expert).any(axis=1))
        assert sorted(pool.holders[expert, :copies]) == holders.tolist()
    np.testing.assert_array_equal(pool.share, pool.load / pool.copies)
    np.testing.assert_array_equal(pool.pieces, pool.share[pool.slots])
    assert (np.diff(pool.pieces, axis=1) <= 0).all()
    np.testing.assert_allclose(pool.gpu_load, pool.pieces.sum(axis=1), rtol=1e-14)
    assert pool.ranking.tolist() == np.argsort(-pool.gpu_load, kind="stable").tolist()
