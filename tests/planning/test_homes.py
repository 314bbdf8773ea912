from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equipoise import Cluster, Placement, Scenarios, balance, plan
from equipoise.planning.homes import attainable_peaks, homes, off_node_load
from tests.reference.exact import grouped_optimum, optimum, soft_optimum
from tests.reference.execution import contents
from tests.situations import changed_ones, live_ones


def slow_off_node(placement, load, home) -> Fraction:
    """Return what replicas on other nodes than the expert's home serve, without rounding; home: a node or -1."""
    slots, cluster = contents(placement, 0), placement.cluster
    replicas = Counter(slots.values())
    return sum(
        (
            Fraction(load[expert]) / replicas[expert]
            for (gpu, _), expert in slots.items()
            if home[expert] not in (-1, gpu // cluster.gpus_per_node)
        ),
        Fraction(0),
    )


def layer_of(placement, layer):
    return Placement(placement.phy2log[[layer]], placement.cluster, placement.experts)


@settings(max_examples=60, deadline=None)
@given(situation=changed_ones())
def test_homes_leave_the_least_load_off_them_equally_many_on_each_node(situation):
    groups, cluster = situation.settings["groups"], situation.cluster
    placement = situation.plan().placement
    loads = situation.loads
    found = homes(placement, groups, loads)
    if groups == 1:
        assert (found == -1).all()
        return
    for layer, home in enumerate(found.reshape(placement.layers, groups, -1)):
        assert all(len(set(group)) == 1 for group in home.tolist())
        nodes = home[:, 0].tolist()
        assert Counter(nodes) == dict.fromkeys(range(cluster.nodes), groups // cluster.nodes)
        served = Counter()
        for (gpu, _), expert in contents(placement, layer).items():
            group, node = expert * groups // placement.experts, gpu // cluster.gpus_per_node
            served[group, node] += loads[layer, expert] / placement.logcnt[layer, expert]
        at_home = max(sum(served[both] for both in enumerate(other)) for other in permutations(nodes))
        assert sum(served[both] for both in enumerate(nodes)) == pytest.approx(at_home, rel=1e-6)


def test_homes_of_idle_groups_are_where_most_replicas_are():
    placement = Placement([[0, 1, 2, 3, 0, 2]], Cluster(gpus=2, nodes=2, slots_per_gpu=3), 4)
    assert homes(placement, 2, np.zeros((1, 4))).tolist() == [[0, 0, 1, 1]]


@settings(max_examples=60, deadline=None)
@given(situation=changed_ones(), seed=st.integers(0, 99))
def test_load_off_its_home_is_counted_replica_by_replica(situation, seed):
    placement, cluster = situation.current, situation.current.cluster
    home = np.random.default_rng(seed).integers(-1, cluster.nodes + 1, (placement.layers, placement.experts))
    found = off_node_load(placement, situation.loads, home)
    for layer, load in enumerate(situation.loads):
        expected = slow_off_node(layer_of(placement, layer), load, home[layer])
        assert found[layer] == pytest.approx(float(expected), rel=1e-12)


def slowly_attainable(node_load, gpus, off_node) -> list[float]:
    """Return the peaks to aim at; the PAR of all layers is tried at each node's, and between those two it is linear."""
    layers = [(load, sum(load) / sum(gpus)) for load in node_load if sum(load)]
    total = sum(sum(load) for load, _ in layers)

    def leaves(par):
        return sum(
            max(on_node - par * mean * count, 0)
            for load, mean in layers
            for on_node, count in zip(load, gpus, strict=True)
        )

    pars = {on_node / count / mean for load, mean in layers for on_node, count in zip(load, gpus, strict=True)}
    pars = sorted({1.0, *(par for par in pars if par > 1)})
    least = pars[-1]
    for low, high in pairwise(pars):
        if leaves(high) <= off_node * total:
            slope = (leaves(low) - leaves(high)) / (high - low)
            least = max(low, high - (off_node * total - leaves(high)) / slope)
            break
    heaviest = [max(on_node / count for on_node, count in zip(load, gpus, strict=True)) for load in node_load]
    means = [sum(load) / sum(gpus) for load in node_load]
    return [max(mean, min(least * mean, most)) for mean, most in zip(means, heaviest, strict=True)]


@settings(deadline=None)
@given(
    loads=st.lists(st.lists(st.integers(0, 100), min_size=6, max_size=6), min_size=1, max_size=3),
    gpus=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    off_node=st.sampled_from([0, 0.01, 0.1, 0.3, 0.999]),
    seed=st.integers(0, 99),
)
def test_the_peaks_aimed_at_leave_as_much_as_may_leave(loads, gpus, off_node, seed):
    home = np.random.default_rng(seed).integers(0, len(gpus), (len(loads), 6))
    node_load = [
        [sum(x for x, node in zip(*both, strict=True) if node == n) for n in range(len(gpus))]
        for both in zip(loads, home.tolist(), strict=True)
    ]
    found = attainable_peaks(np.array(loads, float), home, np.array(gpus), off_node)
    np.testing.assert_allclose(found, slowly_attainable(node_load, gpus, off_node), rtol=1e-9, atol=1e-9)


def test_without_a_limit_the_peaks_aimed_at_are_the_means():
    loads, home = np.array([[8.0, 0, 0, 0]]), np.array([[0, 0, 1, 1]])
    assert attainable_peaks(loads, home, np.array([2, 2]), 1.0).tolist() == [2]
    assert attainable_peaks(loads, np.full((1, 4), -1), np.array([2, 2]), 0.0).tolist() == [2]
    assert attainable_peaks(loads, home, np.array([2, 2]), 0.0).tolist() == [4]
    assert attainable_peaks(loads, home, np.array([2, 2]), 0.25).tolist() == pytest.approx([3])


@settings(max_examples=60, deadline=None)
@given(situation=live_ones(most_left_over=0, may_die=False), off_node=st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0]))
def test_no_more_load_than_allowed_is_served_off_its_home(situation, off_node):
    groups, total = situation.settings["groups"], situation.loads.sum()
    assume(groups > 1)
    strict = plan(Scenarios(situation.loads), situation.cluster, groups=groups)
    soft = plan(Scenarios(situation.loads), situation.cluster, groups=groups, off_node=off_node)
    home = homes(strict.placement, groups, situation.loads)
    off = [slow_off_node(layer_of(soft.placement, i), load, home[i]) for i, load in enumerate(situation.loads)]
    np.testing.assert_allclose(soft.off_node * situation.loads.sum(axis=1), [float(x) for x in off], rtol=1e-9)
    assert float(sum(off)) <= off_node * total * (1 + 1e-9)
    assert (soft.peak <= strict.peak * (1 + 1e-9)).all()
    assert (soft.bound <= soft.peak * (1 + 1e-12)).all()
    if off_node == 0:
        for layer, node in enumerate(home):
            replicas = contents(soft.placement, layer).items()
            assert all(node[expert] == gpu // situation.cluster.gpus_per_node for (gpu, _), expert in replicas)


@settings(max_examples=60, deadline=None)
@given(situation=live_ones(most_left_over=0), off_node=st.sampled_from([0.01, 0.05, 0.2]))
def test_replanned_no_more_than_allowed_is_served_off_its_home_or_than_before(situation, off_node):
    groups, total = situation.settings["groups"], situation.loads.sum()
    assume(groups > 1)
    loads = Scenarios(situation.loads)
    least = plan(loads, situation.cluster, groups=groups, current=situation.current, off_node=off_node, max_moves=0)
    result = plan(loads, situation.cluster, groups=groups, current=situation.current, off_node=off_node)
    before, after = ((one.off_node * situation.loads.sum(axis=1)).sum() for one in (least, result))
    assert after <= max(before, off_node * total) * (1 + 1e-9)


def test_without_a_share_to_serve_elsewhere_no_replica_leaves_home_even_if_it_serves_nothing():
    loads = np.random.default_rng(0).lognormal(4, 1, (20, 16)) * (np.arange(16) % 3 > 0)
    cluster = Cluster(gpus=8, nodes=2, slots_per_gpu=4)
    for current in (None, plan(loads[::-1], cluster, groups=4).placement):
        result = plan(loads, cluster, groups=4, off_node=0.0, current=current)
        placement = result.placement
        assert not result.off_node.any()
        for layer in range(20):
            homes_of = {(expert // 4, gpu // 4) for (gpu, _), expert in contents(placement, layer).items()}
            assert len(homes_of) == 4


def test_the_more_may_be_served_elsewhere_the_lower_the_peaks():
    loads = np.random.default_rng(1).lognormal(5, 1, (20, 64))
    task = {"loads": loads, "cluster": Cluster(gpus=16, nodes=4, slots_per_gpu=5), "groups": 8}
    results = [plan(**task, off_node=off_node) for off_node in (0.0, 0.02, 0.05, 0.1, 1.0)]
    pars = [result.par.mean() for result in results]
    assert pars == sorted(pars, reverse=True)
    assert pars[0] > 1.1
    assert pars[-1] < 1.03
    assert pars[-1] == plan(**task, locality="soft").par.mean()
    assert plan(**task).par.mean() >= pars[0] > plan(**task, locality="none").par.mean()


def test_what_a_dead_node_must_serve_elsewhere_does_not_keep_the_others_from_being_levelled():
    loads = np.random.default_rng(0).lognormal(3, 1, (4, 16))
    cluster = Cluster(gpus=8, nodes=2, slots_per_gpu=6, dead=range(4, 8))
    little, enough = (plan(loads, cluster, groups=4, off_node=off_node) for off_node in (0.4, 0.6))
    assert little.off_node.tolist() == pytest.approx(enough.off_node.tolist())
    assert little.peak.tolist() == pytest.approx(enough.peak.tolist())
    assert little.par.max() < 1.02


def test_locality_none_says_how_much_is_served_off_the_home_that_fits_best():
    loads = np.random.default_rng(2).lognormal(5, 1, (5, 16))
    result = plan(loads, Cluster(gpus=8, nodes=2, slots_per_gpu=3), groups=4, locality="none")
    home = homes(result.placement, 4, loads)
    expected = [
        slow_off_node(layer_of(result.placement, i), loads[i], home[i]) / Fraction(sum(loads[i])) for i in range(5)
    ]
    np.testing.assert_allclose(result.off_node, [float(share) for share in expected])
    assert result.locality == "none"
    np.testing.assert_allclose(result.peak, balance(result.placement, loads).peak[0])


@pytest.mark.parametrize("seed", range(4))
def test_plans_of_every_locality_are_no_better_than_the_optimum_and_bounds_no_higher(seed):
    load = np.random.default_rng(seed).lognormal(6, 1.2, 8).astype(int) + 1
    cluster, groups = Cluster(gpus=4, nodes=2, slots_per_gpu=3), 4
    strict = plan(load, cluster, groups=groups)
    least = {
        "strict": float(grouped_optimum(load, 4, 3, groups=groups, nodes=2).peak),
        "none": float(optimum(load, 4, 3).peak),
    }
    plans = [strict, plan(load, cluster, groups=groups, locality="none")]
    plans += [plan(load, cluster, groups=groups, off_node=off_node) for off_node in (0.05, 0.2)]
    for result in plans:
        off = slow_off_node(result.placement, load.tolist(), homes(strict.placement, groups, load[None])[0])
        if result.locality == "none":
            off = slow_off_node(result.placement, load.tolist(), homes(result.placement, groups, load[None])[0])
        soft = soft_optimum(load, 4, 3, groups=groups, nodes=2, off_node=off)
        assert soft.proven
        optima = least | {"soft": float(soft.peak)}
        assert optima["none"] <= optima["soft"] <= optima["strict"]
        assert result.peak[0] >= optima[result.locality] * (1 - 1e-12)
        for locality, bound in result.bounds.items():
            assert bound[0] <= optima[locality] * (1 + 1e-12)
