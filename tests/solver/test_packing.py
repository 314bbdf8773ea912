from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solver.pools import assert_consistent, layers, packed_pool


@st.composite
def counted_layers(draw):
    """A layer and any counts of it that avoid duplicates, not only those of the second step."""
    load, gpus, slots_per_gpu = draw(layers())
    return load, gpus, slots_per_gpu, any_counts(load, gpus, slots_per_gpu, draw(st.integers(0, 999)))


def any_counts(load, gpus, slots_per_gpu, seed):
    rng = np.random.default_rng(seed)
    copies = np.ones(len(load), dtype=int)
    for _ in range(gpus * slots_per_gpu - len(load)):
        copies[rng.choice(np.flatnonzero(copies < gpus))] += 1
    return copies.tolist()


def strands_a_replica(load, gpus, slots_per_gpu, copies) -> bool:
    """Whether heaviest first leaves a replica with no GPU that has a free slot and lacks its expert."""
    share = np.array(load) / copies
    held: list[list[int]] = [[] for _ in range(gpus)]
    for expert in np.argsort(-share, kind="stable").tolist():
        for _ in range(copies[expert]):
            fitting = [gpu for gpu in held if len(gpu) < slots_per_gpu and expert not in gpu]
            if not fitting:
                return True
            min(fitting, key=lambda gpu: share[gpu].sum()).append(expert)
    return False


@settings(deadline=None)
@given(layer=counted_layers())
def test_a_packing_is_consistent_and_keeps_its_counts(layer):
    pool = packed_pool(*layer)
    assert_consistent(pool)
    assert pool.copies.tolist() == layer[3]


def test_room_is_made_for_a_stranded_replica():
    stranded = 0
    for seed in range(300):
        load = np.random.default_rng(seed).integers(1, 100, 8).tolist()
        layer = load, 4, 6, any_counts(load, 4, 6, seed)
        if strands_a_replica(*layer):
            stranded += 1
            assert_consistent(packed_pool(*layer))
    assert stranded > 30


def test_room_in_a_known_layer():
    # GPU 1 fills with experts 1, 2 and 3 before the second copy of expert 4 comes, which GPU 0 holds already.
    pool = packed_pool([10, 3, 3, 2, 2], 2, 3, copies=[1, 1, 1, 1, 2])
    assert [sorted(held) for held in pool.slots.tolist()] == [[0, 3, 4], [1, 2, 4]]
