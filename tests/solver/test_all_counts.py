from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings

from equipoise.solver.pool import empty_queues
from tests.solver.compiled import fill_first, next_counts, pack_pool, settle_pool, try_every_count
from tests.solver.pools import assert_consistent, layers, loaded_pool, packed_pool


@pytest.mark.parametrize(
    ("experts", "gpus", "slots_per_gpu"),
    [(1, 1, 1), (1, 3, 1), (4, 2, 2), (4, 2, 3), (4, 2, 4), (3, 4, 2), (5, 4, 2), (5, 3, 4)],
)
def test_every_way_to_give_out_the_replicas_comes_once(experts, gpus, slots_per_gpu):
    pool = loaded_pool([1] * experts, gpus, slots_per_gpu)
    fill_first(pool, experts, gpus * slots_per_gpu - experts)
    visited = [tuple(pool.copies.tolist())]
    while next_counts(pool):
        visited.append(tuple(pool.copies.tolist()))
    every = [counts for counts in product(range(1, gpus + 1), repeat=experts) if sum(counts) == gpus * slots_per_gpu]
    assert sorted(visited) == every


@settings(max_examples=25, deadline=None)
@given(layer=layers(most_experts=5, most_gpus=3))
def test_the_lowest_peak_of_all_counts_is_kept(layer):
    load, gpus, slots_per_gpu = layer
    experts = len(load)
    pool, queues = packed_pool(load, gpus, slots_per_gpu), empty_queues(experts, gpus)
    lowest = pool.gpu_load.max()
    try_every_count(pool, queues, loaded_pool(load, gpus, slots_per_gpu), 0.0)
    assert_consistent(pool)

    other = loaded_pool(load, gpus, slots_per_gpu)
    for counts in product(range(1, gpus + 1), repeat=experts):
        if sum(counts) == gpus * slots_per_gpu:
            other.copies[:] = counts
            pack_pool(other, queues)
            settle_pool(other, 0.0)
            lowest = min(lowest, other.gpu_load.max())
    assert pool.gpu_load.max() == lowest
