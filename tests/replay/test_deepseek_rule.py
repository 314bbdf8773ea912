"""DeepSeek's rule beside what it says, step by step, and beside vLLM's own."""

from __future__ import annotations

import sys
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.peers import VLLM, stub_packages
from equipoise import Cluster, Placement, balance
from equipoise.replay.deepseek_rule import deepseek_rule
from tests.reference.simple_steps import adams_counts


@st.composite
def problems(draw):
    """Loads ``[layers, experts]`` of which no two tie, a cluster that can hold them, and groups."""
    nodes, gpus_per_node = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    groups_per_node, group_size = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    per_node, groups = groups_per_node * group_size, nodes * groups_per_node
    slots_per_gpu = draw(st.integers(-(-per_node // gpus_per_node), per_node + 2))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    loads = rng.lognormal(0, 1.5, (draw(st.integers(1, 3)), nodes * per_node))
    return loads, Cluster(nodes * gpus_per_node, nodes, slots_per_gpu), draw(st.sampled_from([1, groups]))


def by_node(placement: Placement, layer: int) -> list[list[int]]:
    return placement.phy2log[layer].reshape(placement.cluster.nodes, -1).tolist()


@given(problems())
def test_every_expert_lives_somewhere_and_every_slot_is_used(problem):
    loads, cluster, groups = problem
    placement = deepseek_rule(loads, cluster, groups)
    assert placement.cluster is cluster
    placement.validate(duplicates=True)


@given(problems())
def test_replicas_go_to_the_heaviest_one_after_another_in_every_node(problem):
    loads, cluster, groups = problem
    placement = deepseek_rule(loads, cluster, groups)
    for layer, load in enumerate(loads):
        if groups == 1 or cluster.nodes == 1:
            assert placement.logcnt[layer].tolist() == adams_counts(load, cluster.slots, cluster.slots).tolist()
            continue
        for slots in by_node(placement, layer):
            experts = sorted(set(slots))
            wanted = adams_counts(load[experts], len(slots), len(slots))
            assert [slots.count(expert) for expert in experts] == wanted.tolist()


@given(problems())
def test_groups_are_each_on_one_node_equally_many_on_each(problem):
    loads, cluster, groups = problem
    group_size = loads.shape[1] // groups
    if groups == 1 or cluster.nodes == 1:
        return
    placement = deepseek_rule(loads, cluster, groups)
    for layer in range(len(loads)):
        held = [{expert // group_size for expert in slots} for slots in by_node(placement, layer)]
        assert sorted(group for node in held for group in node) == list(range(groups))
        assert {len(node) for node in held} == {groups // cluster.nodes}


def slow_packing(load, packs):
    """Return the contents of packs of equal size, the heaviest item first, each in the lightest pack with room."""
    contents = [[] for _ in range(packs)]
    for item in sorted(range(len(load)), key=lambda item: -load[item]):
        with_room = [pack for pack in contents if len(pack) < len(load) // packs]
        min(with_room, key=lambda pack: sum(load[item] for item in pack)).append(item)
    return contents


@given(problems())
def test_without_groups_replicas_are_packed_heaviest_first_on_the_lightest_gpu(problem):
    loads, cluster, _ = problem
    for load, slots in zip(loads, deepseek_rule(loads, cluster).phy2log.tolist(), strict=True):
        counts = adams_counts(load, cluster.slots, cluster.slots)
        expert = np.repeat(np.arange(len(load)), counts)
        packs = slow_packing((load / counts)[expert].tolist(), cluster.gpus)
        expected = [sorted(expert[pack].tolist()) for pack in packs]
        assert [sorted(gpu) for gpu in np.reshape(slots, (cluster.gpus, -1)).tolist()] == expected


def test_equals_are_taken_in_their_order():
    placement = deepseek_rule(np.ones((1, 64)), Cluster(gpus=4, slots_per_gpu=16))
    assert placement.phy2log.reshape(4, 16).T.ravel().tolist() == list(range(64))


def test_groups_that_cannot_be_shared_out_evenly_are_not_kept_together():
    loads, cluster = np.random.default_rng(0).lognormal(0, 1, (2, 12)), Cluster(gpus=4, nodes=2, slots_per_gpu=4)
    assert deepseek_rule(loads, cluster, 3).phy2log.tolist() == deepseek_rule(loads, cluster).phy2log.tolist()


def test_the_rule_puts_an_expert_twice_on_a_gpu_where_ours_does_not():
    placement = deepseek_rule(np.array([[100.0, 1, 1, 1]]), Cluster(gpus=2, slots_per_gpu=4))
    assert placement.duplicates.tolist() == [3]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), groups=st.sampled_from([1, 8]), gpus=st.sampled_from([8, 16, 32]))
def test_par_is_that_of_vllms_own_planner(engines, seed, groups, gpus):
    pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    counts = (1000 * rng.lognormal(5, 1, (3, 64))).astype(np.int64)  # float32, which vLLM converts to, holds them
    cluster = Cluster(gpus, nodes=4, slots_per_gpu=64 // gpus + rng.integers(1, 4).item())
    with patch.dict(sys.modules):
        stub_packages(engines)
        planner = VLLM()
        theirs = Placement(planner.run(planner.fresh(counts), cluster, groups).phy2log, cluster, 64)
    ours = deepseek_rule(counts.astype(np.float64), cluster, groups)
    assert balance(ours, counts).par.mean() == pytest.approx(balance(theirs, counts).par.mean(), rel=1e-9)


@given(seed=st.integers(0, 99), dead=st.sets(st.integers(0, 5), min_size=1, max_size=3), groups=st.sampled_from([1, 3]))
def test_where_gpus_are_dead_the_live_ones_are_planned_as_a_cluster_of_their_own(seed, dead, groups):
    counts = np.random.default_rng(seed).lognormal(3, 1, (2, 9))
    down = Cluster(gpus=6, nodes=3, slots_per_gpu=4, dead=tuple(dead))
    alone = deepseek_rule(counts, Cluster(gpus=6 - len(dead), slots_per_gpu=4))
    planned = deepseek_rule(counts, down, groups)
    assert np.array_equal(planned.by_gpu[:, list(down.live)], alone.by_gpu)
    assert (planned.by_gpu[:, list(down.dead)] == -1).all()
