"""Every expert on several GPUs or nodes: whatever is planned for, and from whatever is live."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement, plan
from equipoise.planning.domains import least_slots_per_gpu, live_gpus

EFFORTS = ["fast", "default", "thorough"]


@st.composite
def problems(draw):
    """Loads ``[windows, layers, experts]``, a cluster that can hold them with its dead GPUs, and what is asked."""
    nodes, gpus_per_node, experts = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 12))
    gpus = nodes * gpus_per_node
    dead = draw(st.sets(st.integers(0, gpus - 1), max_size=min(2, gpus - 1)))
    cluster = Cluster(gpus=gpus, nodes=nodes, dead=sorted(dead))
    across = draw(st.sampled_from(["gpus", "nodes"]))
    live = live_gpus(cluster, across)
    replicas = draw(st.integers(1, min(3, int(np.count_nonzero(live)))))
    least = least_slots_per_gpu(experts, replicas, live)
    cluster = replace(cluster, slots_per_gpu=draw(st.integers(least, least + 2)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    loads = rng.lognormal(3, draw(st.sampled_from([0.0, 1.0, 2.0])), (draw(st.integers(1, 3)), 2, experts))
    return loads, cluster, {"min_replicas": replicas, "across": across}


def assert_any_may_fail(placement: Placement, min_replicas: int, across: str) -> None:
    """Kill every choice of one domain fewer than each expert must be on; look for experts that are lost."""
    by_gpu = placement.by_gpu
    domain = np.arange(placement.cluster.gpus) // (1 if across == "gpus" else placement.cluster.gpus_per_node)
    for failed in combinations(range(domain[-1] + 1), min_replicas - 1):
        left = by_gpu[:, ~np.isin(domain, failed)]
        for layer in left:
            assert set(range(placement.experts)) <= set(layer.ravel().tolist())


@settings(max_examples=50, deadline=None)
@given(problem=problems(), effort=st.sampled_from(EFFORTS), routing=st.sampled_from(["even", "filled"]))
def test_afresh_no_expert_is_lost_whatever_fails(problem, effort, routing):
    loads, cluster, asked = problem
    found = plan(loads, cluster, effort=effort, routing=routing, forecast="last", **asked)
    assert_any_may_fail(found.placement, **asked)
    assert (found.bound <= found.peak * (1 + 1e-9)).all()


@settings(max_examples=50, deadline=None)
@given(problem=problems(), most=st.sampled_from([None, 0, 1, 0.5]), routing=st.sampled_from(["even", "filled"]))
def test_from_what_is_live_no_expert_is_lost_whatever_moves_are_allowed(problem, most, routing):
    loads, cluster, asked = problem
    rng = np.random.default_rng(loads.size)
    slots = rng.integers(-1, loads.shape[2], (2, cluster.gpus + 1, cluster.slots_per_gpu + 1))
    live = Placement(slots.reshape(2, -1), Cluster(cluster.gpus + 1, 1, cluster.slots_per_gpu + 1), loads.shape[2])
    found = plan(loads, cluster, current=live, max_moves=most, routing=routing, forecast="windows", **asked)
    assert_any_may_fail(found.placement, **asked)
    if most == 0:
        assert found.moves.sum() == found.required.sum()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), windows=st.integers(1, 3), soft=st.booleans(), most=st.sampled_from([None, 0, 3]))
def test_groups_keep_their_nodes_and_what_is_live_its_replicas(seed, windows, soft, most):
    loads = np.random.default_rng(seed).lognormal(3, 1, (windows, 2, 8))
    cluster = Cluster(gpus=6, nodes=2, slots_per_gpu=4, dead=[seed % 6] if seed % 2 else [])
    asked = {"min_replicas": 2, "across": "nodes" if soft else "gpus"}
    groups = {"groups": 4, "locality": "soft" if soft else "strict"}
    live = plan(loads[0], replace(cluster, dead=()), **groups).placement
    for current in ({}, {"current": live, "max_moves": most}):
        assert_any_may_fail(plan(loads, cluster, forecast="last", **groups, **current, **asked).placement, **asked)


def test_only_replicas_that_are_missing_are_required_moves():
    loads, cluster = np.random.default_rng(0).lognormal(3, 1, (3, 32)), Cluster(gpus=8, nodes=2, slots_per_gpu=9)
    live = plan(loads, cluster).placement
    alone = np.count_nonzero(live.spread("gpus") == 1, axis=1)
    found = plan(loads, cluster, current=live, max_moves=0, min_replicas=2)
    assert found.required.tolist() == found.moves.tolist() == alone.tolist()
    again = plan(loads, cluster, current=found.placement, max_moves=0, min_replicas=2)
    assert again.moves.sum() == 0


def test_one_replica_asked_for_changes_nothing():
    loads, cluster = np.random.default_rng(0).lognormal(3, 1, (4, 3, 32)), Cluster(gpus=8, nodes=2, slots_per_gpu=5)
    for groups in (1, 4):
        found = plan(loads, cluster, groups=groups)
        again = plan(loads, cluster, groups=groups, min_replicas=1, across="nodes")
        assert np.array_equal(found.placement.phy2log, again.placement.phy2log)
        assert np.array_equal(again.par_without_min_replicas, again.par)


@pytest.mark.parametrize("across", ["gpus", "nodes"])
def test_what_it_costs_is_the_par_of_the_plan_without(across):
    loads, cluster = np.random.default_rng(0).lognormal(3, 1, (3, 32)), Cluster(gpus=8, nodes=2, slots_per_gpu=8)
    loads[:, 0] = loads.sum(axis=1)  # needs four replicas, and there are slots for just two of each
    found, without = plan(loads, cluster, min_replicas=2, across=across), plan(loads, cluster)
    assert np.array_equal(found.par_without_min_replicas, without.par)
    assert (found.par > 1.5 * without.par).all()


@pytest.mark.parametrize("across", ["gpus", "nodes"])
def test_any_number_of_workers_gives_the_same(across):
    loads, cluster = np.random.default_rng(0).lognormal(3, 1, (9, 32)), Cluster(gpus=8, nodes=2, slots_per_gpu=9)
    plans = [plan(loads, cluster, min_replicas=2, across=across, workers=workers) for workers in (1, 4)]
    assert np.array_equal(*(one.placement.phy2log for one in plans))


def least_peak(load: np.ndarray, cluster: Cluster, across: str) -> float:
    """Return the least peak of all placements in which every expert is on two domains; by trying all of them."""
    gpus, domain = range(cluster.gpus), np.arange(cluster.gpus) // (1 if across == "gpus" else cluster.gpus_per_node)
    best = np.inf

    def place(expert: int, held: list[tuple[int, ...]], room: np.ndarray) -> None:
        nonlocal best
        if expert == load.size:
            if not room.any():
                gpu_load = np.zeros(cluster.gpus)
                for one, holders in zip(load, held, strict=True):
                    gpu_load[list(holders)] += one / len(holders)
                best = min(best, gpu_load.max())
            return
        free = [gpu for gpu in gpus if room[gpu]]
        for copies in range(2, len(free) + 1):
            for holders in combinations(free, copies):
                if len(set(domain[list(holders)].tolist())) >= 2:
                    less = room.copy()
                    less[list(holders)] -= 1
                    place(expert + 1, [*held, holders], less)

    place(0, [], np.full(cluster.gpus, cluster.slots_per_gpu))
    return float(best)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("across", ["gpus", "nodes"])
def test_plans_of_small_layers_are_near_the_optimum_and_bounds_below_it(across, seed):
    load, cluster = np.random.default_rng(seed).lognormal(3, 1, 5), Cluster(gpus=4, nodes=2, slots_per_gpu=3)
    least = least_peak(load, cluster, across)
    found = plan(load, cluster, min_replicas=2, across=across, effort="thorough")
    assert found.bound[0] <= least * (1 + 1e-9)
    assert least * (1 - 1e-9) <= found.peak[0] <= least * 1.1


@pytest.mark.parametrize(
    ("gpus", "slots"), [([1, 1, 1, 1], 4), ([2, 2], 4), ([1, 3], 8), ([1, 1, 2], 4), ([0, 3, 3], 3), ([4, 0], None)]
)
def test_slots_that_two_domains_for_each_of_eight_experts_take(gpus, slots):
    assert least_slots_per_gpu(8, 2, np.array(gpus)) == slots


STRICT = {"groups": 4}


@pytest.mark.parametrize(
    ("cluster", "asked", "message"),
    [
        (
            Cluster(gpus=8, nodes=2, slots_per_gpu=3),
            {"min_replicas": 4},
            r"24 slots \(8 live GPUs with 3 each\) do not hold 8 experts on 4 GPUs each; use at least 4 slots per GPU, "
            "or min_replicas=3",
        ),
        (Cluster(4, slots_per_gpu=8, dead=[1]), {"min_replicas": 4}, "but GPUs that live: 3; use .* min_replicas=3"),
        (
            Cluster(8, 2, slots_per_gpu=8),
            {"min_replicas": 3, "across": "nodes"},
            "min_replicas is 3 but nodes that live: 2; use at most min_replicas=2",
        ),
        (
            Cluster(4, 2, slots_per_gpu=5, dead=[0]),
            {"min_replicas": 2, "across": "nodes"},
            r"15 slots \(3 live GPUs with 5 each\) do not hold 8 experts on 2 nodes each; use at least 8 slots per GPU",
        ),
        (
            Cluster(8, 2, slots_per_gpu=4, dead=[4, 5, 6]),
            {"min_replicas": 2, **STRICT},
            "GPUs of node 1 that live: 1; use at most min_replicas=1",
        ),
        (
            Cluster(8, 2, slots_per_gpu=4),
            {"min_replicas": 2, "across": "nodes", **STRICT},
            "on 2 nodes but the locality is strict, which keeps every expert on one node; use locality='soft' with no "
            "off_node, locality='none', or across='gpus'",
        ),
        (
            Cluster(8, 2, slots_per_gpu=4),
            {"min_replicas": 2, "across": "nodes", "off_node": 0.1, **STRICT},
            "on 2 nodes but the locality is soft, which has off_node 0.1",
        ),
        (Cluster(8), {"min_replicas": 0}, "min_replicas is 0; expected a whole number of at least 1"),
        (Cluster(8), {"across": "racks"}, "across is 'racks'; expected 'gpus', 'nodes'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_fit(cluster, asked, message):
    with pytest.raises(InputError, match=message):
        plan([1] * 8, cluster, **asked)
