from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from equipoise.solver.bounding import PRECISION
from tests.reference.exact import grouped_optimum, optimum
from tests.solver.compiled import raised_bound
from tests.solver.pools import layers


def bound_of(load, gpus, slots_per_gpu, most_copies):
    """Return the bound where nothing is known yet but that the peak is between the mean and all of the load."""
    load = np.array(load, dtype=float)
    return raised_bound(load, gpus, 1, most_copies, np.zeros(slots_per_gpu), load.sum() / gpus, load.sum())


@settings(max_examples=80, deadline=None)
@given(layer=layers(most_experts=7, most_gpus=4))
def test_the_bound_is_never_above_the_optimum(layer):
    load, gpus, slots_per_gpu = layer
    best = optimum(load, gpus, slots_per_gpu)
    assert best.proven
    most_copies = min(gpus, gpus * slots_per_gpu - len(load) + 1)
    assert bound_of(load, gpus, slots_per_gpu, most_copies) <= float(best.peak) * (1 + 1e-12)


def test_the_bound_lets_companions_have_the_copies_left_over():
    load = [1000, 40, 41, 41]  # both GPUs hold half of expert 0, one of expert 1, and one of the others
    assert optimum(load, 2, 3).peak == 561
    assert 561 * (1 - PRECISION) <= bound_of(load, 2, 3, most_copies=2) <= 561


@pytest.mark.parametrize("seed", range(8))
def test_the_bound_with_groups_is_never_above_their_optimum(seed):
    load = np.random.default_rng(seed).lognormal(5, 1.5, 8).astype(int)
    best = grouped_optimum(load, 4, 3, groups=4, nodes=2)
    assert best.proven
    assert bound_of(load, 4, 3, most_copies=2) <= float(best.peak) * (1 + 1e-12)


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
    assert best.peak == peak
    assert peak * (1 - PRECISION) <= bound_of(load, gpus, slots_per_gpu, most_copies) <= peak
