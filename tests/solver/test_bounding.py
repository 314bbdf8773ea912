from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from equipoise.solver.bounding import PRECISION
from reference.exact import grouped_optimum, optimum
from solver.compiled import raised_bound
from solver.pools import layers


def bound_of(load, gpus, slots_per_gpu, most_copies, reached):
    load = np.array(load, dtype=float)
    return raised_bound(load, gpus, most_copies, np.zeros(slots_per_gpu), load.sum() / gpus, float(reached))


@settings(max_examples=60, deadline=None)
@given(layer=layers(most_experts=7, most_gpus=4))
def test_the_bound_is_never_above_the_optimum(layer):
    load, gpus, slots_per_gpu = layer
    best = optimum(load, gpus, slots_per_gpu)
    assert best.proven
    most_copies = min(gpus, gpus * slots_per_gpu - len(load) + 1)
    assert bound_of(load, gpus, slots_per_gpu, most_copies, best.peak) <= float(best.peak) * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_bound_with_groups_is_never_above_their_optimum(seed):
    load = np.random.default_rng(seed).lognormal(5, 1.5, 8).astype(int)
    best = grouped_optimum(load, 4, 3, groups=4, nodes=2)
    assert best.proven
    assert bound_of(load, 4, 3, most_copies=2, reached=best.peak) <= float(best.peak) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("load", "gpus", "slots_per_gpu", "most_copies", "peak"),
    [
        ([1000, 1, 1, 1], 2, 2, 1, 1001),  # one copy each: the hot expert and the lightest beside it
        ([1000, 10, 10], 4, 1, 2, 500),  # two copies and nothing beside them
        ([1000, 20, 20, 10, 10], 3, 2, 2, 510),  # two copies, each with one of the lightest beside it
    ],
)
def test_the_bound_meets_the_optimum_of_one_hot_expert(load, gpus, slots_per_gpu, most_copies, peak):
    best = optimum(load, gpus, slots_per_gpu)
    assert bound_of(load, gpus, slots_per_gpu, most_copies, best.peak) >= float(best.peak) * (1 - PRECISION)
    assert best.peak == peak
