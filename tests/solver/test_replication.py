from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solver.pool import empty_queues
from tests.reference.simple_steps import adams_counts
from tests.solver.compiled import replicate_experts_sparingly
from tests.solver.pools import layers, loaded_pool, replicated_pool


@settings(deadline=None)
@given(layer=layers())
def test_counts_are_the_references(layer):
    load, gpus, slots_per_gpu = layer
    copies = replicated_pool(load, gpus, slots_per_gpu).copies
    assert copies.tolist() == adams_counts(np.array(load, dtype=float), gpus * slots_per_gpu, gpus).tolist()
    assert copies.max() <= gpus


@pytest.mark.parametrize(
    ("load", "copies"),
    [
        ([90, 9, 5, 5, 5], [3, 2, 2, 1, 1]),  # the hot expert is on every GPU, so the rest goes to others
        ([0, 0, 0, 0, 0], [3, 3, 1, 1, 1]),
        ([30, 30, 15, 15, 15], [3, 3, 1, 1, 1]),
    ],
)
def test_counts_of_known_layers(load, copies):
    assert replicated_pool(load, gpus=3, slots_per_gpu=3).copies.tolist() == copies


@settings(max_examples=300, deadline=None)
@given(layer=layers(), room=st.floats(0.3, 3))
def test_sparing_counts_are_the_fewest_that_fit_and_use_every_slot(layer, room):
    load, gpus, slots_per_gpu = layer
    pool = loaded_pool(load, gpus, slots_per_gpu)
    room *= max(1, sum(load) / gpus)
    fewest = np.maximum(1, np.ceil(np.array(load) / room)).astype(int)
    whole = fewest == 1
    left = gpus * slots_per_gpu - fewest.sum()
    possible = fewest.max() <= gpus and 0 <= left <= whole.sum() * (gpus - 1)
    assert replicate_experts_sparingly(pool, empty_queues(len(load), gpus), room) == possible
    if possible:
        assert pool.copies.sum() == gpus * slots_per_gpu
        assert pool.copies.max() <= gpus
        assert (pool.copies[~whole] == fewest[~whole]).all()


def test_sparing_counts_of_a_known_layer():
    pool = loaded_pool([10, 10, 1, 1, 1, 1], gpus=4, slots_per_gpu=3)
    assert replicate_experts_sparingly(pool, empty_queues(6, 4), 6.0)
    assert pool.copies.tolist() == [2, 2, 2, 2, 2, 2]
