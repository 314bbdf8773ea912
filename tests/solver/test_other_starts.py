from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solver.pool import empty_pool, empty_queues
from equipoise.solver.transfers import empty_search
from tests.reference.original_refinement import original_refinement, transfer_once
from tests.reference.simple_steps import peak
from tests.solver.compiled import chosen_transfer, refine_pool, try_other_counts_for_pool
from tests.solver.pools import assert_consistent, layers, packed_pool


@st.composite
def uneven_layers(draw):
    """A layer in which no two loads tie, so that rounding decides nothing."""
    load, gpus, slots_per_gpu = draw(layers())
    return np.random.default_rng(draw(st.integers(0, 999))).lognormal(0, 1, len(load)), gpus, slots_per_gpu


@settings(max_examples=200, deadline=None)
@given(layer=uneven_layers())
def test_the_transfer_is_the_references(layer):
    pool = packed_pool(*layer)
    held = np.array([[expert in gpu for expert in range(len(layer[0]))] for gpu in pool.slots])
    expected = transfer_once(pool.load, pool.copies, held)
    receiver, donor = chosen_transfer(pool)
    counts = pool.copies.copy()
    if receiver >= 0:
        counts[receiver] += 1
        counts[donor] -= 1
    assert counts.tolist() == expected.tolist()


@settings(max_examples=200, deadline=None)
@given(layer=uneven_layers())
def test_other_counts_end_no_higher_than_before_nor_than_the_reference(layer):
    load, gpus, slots_per_gpu = layer
    size = len(load), gpus, slots_per_gpu
    pool, search = packed_pool(*layer), empty_search(*size, 4, 0)
    transfer = chosen_transfer(pool)
    refine_pool(pool, search, 0.0, 0.0)
    before = pool.gpu_load.max()
    try_other_counts_for_pool(pool, empty_queues(*size[:2]), search, empty_pool(*size), *transfer, 0.0, 0.0)
    assert_consistent(pool)
    assert pool.gpu_load.max() <= before
    assert pool.gpu_load.max() <= peak(load, original_refinement(*layer)) * (1 + 1e-9)
