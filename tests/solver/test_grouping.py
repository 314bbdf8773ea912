from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solver.grouping import empty_grouping
from tests.reference.exact import optimum
from tests.reference.simple_steps import best_grouping
from tests.solver.compiled import group_nodes


def grouped(load, nodes):
    """Return the node of each group and the proven limit."""
    grouping = empty_grouping(len(load), nodes)
    grouping.pool.load[:] = load
    limit = group_nodes(grouping)
    assert np.bincount(grouping.node, minlength=nodes).tolist() == [len(load) // nodes] * nodes
    return grouping.node, limit


def largest_node_load(load, node):
    return np.bincount(node, weights=load).max()


def least_node_load(load, nodes):
    return max(load[list(members)].sum() for members in best_grouping(load, nodes))


@pytest.mark.parametrize(("groups", "nodes"), [(1, 1), (4, 4), (6, 2), (6, 3), (8, 2), (8, 4)])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_largest_node_load_is_the_least_of_all_groupings(groups, nodes, data):
    load = np.array(data.draw(st.lists(st.integers(0, 10**6), min_size=groups, max_size=groups)), dtype=float)
    node, limit = grouped(load, nodes)
    assert largest_node_load(load, node) == least_node_load(load, nodes) == limit


@pytest.mark.parametrize("seed", range(3))
def test_twelve_groups_on_four_nodes(seed):
    load = np.random.default_rng(seed).lognormal(8, 1, 12).round()
    node, limit = grouped(load, 4)
    assert largest_node_load(load, node) == least_node_load(load, 4) == limit


@pytest.mark.parametrize("seed", range(4))
def test_a_search_that_runs_out_of_steps_claims_no_more_than_it_knows(seed):
    load = np.random.default_rng(seed).integers(50, 100, 16) * 4 + 1.0  # near to each other: hard to tell apart
    load[0] += 1  # so that no grouping is level
    node, limit = grouped(load, 4)
    best = optimum(load.astype(int), gpus=4, slots_per_gpu=4)  # groups for experts, nodes for GPUs
    assert best.proven
    assert limit < best.peak <= largest_node_load(load, node)
