from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, Scenarios
from equipoise.planning.bounds import lower_bounds
from equipoise.planning.request import Request
from tests.reference.exact import grouped_optimum, optimum
from tests.reference.simple_steps import groupings


def bounds_of(loads, cluster, groups, reached):
    """Return bounds that are sought to the last bit, of GPUs that died after the request was checked."""
    request = Request.checked(Scenarios(loads), replace(cluster, dead=()), groups=groups)
    to_the_last_bit = replace(request.settings, tolerance=0.0)
    return lower_bounds(loads, replace(request, cluster=cluster, settings=to_the_last_bit), np.array(reached, float))


@settings(max_examples=50, deadline=None)
@given(
    loads=st.lists(st.lists(st.integers(0, 1000), min_size=12, max_size=12), min_size=1, max_size=3),
    nodes=st.sampled_from([1, 2, 3]),
    dead=st.integers(0, 3),
)
def test_groups_prove_the_load_of_the_heaviest_node_at_the_best_split(loads, nodes, dead):
    cluster = Cluster(gpus=6, nodes=nodes, slots_per_gpu=4, dead=range(dead))
    found = bounds_of(np.array(loads, float), cluster, 6, [0] * len(loads))
    for bound, load in zip(found, np.array(loads), strict=True):
        groups = load.reshape(6, 2).sum(axis=1)
        splits = groupings(6, nodes)
        node_load = min(max(groups[list(node)].sum() for node in split) for split in splits)
        assert bound == pytest.approx(max(node_load / cluster.gpus_per_node, load.sum() / (6 - dead)))


@pytest.mark.parametrize("seed", range(8))
def test_no_placement_is_below_its_bound(seed):
    load = np.random.default_rng(seed).lognormal(6, 1.5, 8).astype(int) + 1
    cluster, loads = Cluster(gpus=4, nodes=2, slots_per_gpu=3), load[None].astype(float)
    anywhere, grouped = optimum(load, 4, 3), grouped_optimum(load, 4, 3, groups=4, nodes=2)
    assert anywhere.proven
    assert grouped.proven
    for groups, least in [(1, float(anywhere.peak)), (4, float(grouped.peak))]:
        for reached in (least, 2 * least):
            assert bounds_of(loads, cluster, groups, [reached])[0] <= least * (1 + 1e-12)


def test_a_dead_gpu_raises_the_bound():
    load = np.ones((1, 8))
    for gpus, mean in [((), 2.0), ((1,), 8 / 3), ((1, 2, 3), 8.0)]:
        cluster = Cluster(gpus=4, slots_per_gpu=8, dead=gpus)
        assert bounds_of(load, cluster, 1, [8])[0] == pytest.approx(mean)
