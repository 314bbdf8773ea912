"""Plans for a router that fills: level primaries, spares that help, few moves, and nothing else worse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, Migration, Scenarios, balance, plan, sample_loads
from equipoise.planning.spares import primaries_over
from equipoise.serving.primaries import primaries

LOADS = Loads(sample_loads().counts[:6, :5])
COMING = sample_loads().counts[8:, :5]
CLUSTER = Cluster(gpus=32, nodes=4, slots_per_gpu=9)
EVEN = plan(LOADS, CLUSTER)


@st.composite
def situations(draw):
    """Loads and a cluster with slots to spare, perhaps with groups on nodes, perhaps with a dead GPU."""
    nodes, gpus_per_node, slots_per_gpu = draw(st.integers(1, 2)), draw(st.integers(2, 4)), draw(st.integers(2, 4))
    gpus, groups = nodes * gpus_per_node, draw(st.sampled_from([1, nodes]))
    dead = draw(st.sampled_from([(), (0,)])) if groups == 1 else ()
    experts = nodes * draw(st.integers(2, (gpus - len(dead)) * slots_per_gpu // nodes))
    counts = np.random.default_rng(draw(st.integers(0, 99))).lognormal(0, 1, (draw(st.integers(1, 3)), 2, experts))
    return counts, Cluster(gpus, nodes, slots_per_gpu, dead), groups


@settings(deadline=None)
@given(situation=situations())
def test_plans_are_valid_and_no_less_level_than_those_for_even_shares(situation):
    counts, cluster, groups = situation
    nodes = cluster.nodes if groups > 1 else 1
    found = plan(counts, cluster, groups=groups, routing="filled")
    even = plan(counts, cluster, groups=groups)
    found.placement.validate()
    assert (primaries_over(found.placement, nodes) <= primaries_over(even.placement, nodes)).all()
    assert (found.bound <= found.peak * (1 + 1e-6)).all()
    served = balance(found.placement, found.scenarios.counts, routing="filled")
    np.testing.assert_allclose(found.peak, (found.scenarios.weights * served.peak).sum(axis=0))


def test_every_gpu_has_its_spares_and_the_next_windows_are_filled_better():
    found = plan(LOADS, CLUSTER, routing="filled")
    assert (found.primaries_over == 0).all()
    assert (np.array([np.bincount(slots // 9, minlength=32) for slots in primaries(found.placement)]) == 8).all()
    assert EVEN.primaries_over.max() > 0
    for picks in (None, 512, 8192):
        pars = [balance(one.placement, COMING, routing="filled", picks=picks).par.mean() for one in (EVEN, found)]
        assert pars[1] < pars[0]


def test_the_same_is_planned_by_any_number_of_threads_and_every_time():
    once, again = (plan(LOADS, CLUSTER, routing="filled", workers=workers).placement for workers in (1, 3))
    assert np.array_equal(once.phy2log, again.phy2log)


def test_what_is_planned_for_even_shares_is_as_before():
    assert np.array_equal(EVEN.placement.phy2log, plan(LOADS, CLUSTER, routing="even").placement.phy2log)
    assert EVEN.routing == "even"


@pytest.mark.parametrize("budget", [0, 60, 0.1])
def test_a_re_plan_keeps_to_its_budget_and_levels_as_far_as_that_goes(budget):
    found = plan(COMING[:1], CLUSTER, current=EVEN.placement, max_moves=budget, routing="filled")
    most = budget if isinstance(budget, int) else budget * EVEN.placement.live_slots
    assert found.moves.sum() <= most
    assert (
        found.moves.sum()
        == len(Migration(EVEN.placement, found.placement).layer)
        - Migration(EVEN.placement, found.placement).local.sum()
    )
    assert found.primaries_over.sum() <= EVEN.primaries_over.sum()


def test_with_any_moves_a_re_plan_is_level_and_from_a_level_placement_it_stays_so():
    level = plan(COMING[:1], CLUSTER, current=EVEN.placement, routing="filled")
    assert (level.primaries_over == 0).all()
    later = plan(COMING[1:2], CLUSTER, current=level.placement, max_moves=0.1, routing="filled")
    assert later.moved_share <= 0.1


def test_spares_move_first_where_traffic_shifts_a_little():
    start = plan(LOADS, CLUSTER, routing="filled").placement
    for budget in (0.02, None):
        later = plan(COMING[:2], CLUSTER, current=start, max_moves=budget, routing="filled")
        assert (later.primaries_over == 0).all()
        assert 0 < later.moved_share < 0.2
        both = [sum(later.scenarios.par(one, way) for way in ("even", "filled")) for one in (later.placement, start)]
        assert both[0].mean() < both[1].mean()


def test_other_replicas_move_where_that_is_worth_it():
    start = plan(LOADS, CLUSTER, routing="filled").placement
    shifted = np.roll(LOADS.counts, 100, axis=2)
    later = plan(shifted, CLUSTER, current=start, routing="filled")
    assert later.moved_share > 0.3
    assert later.par.mean() < 1.02


def test_what_gains_too_little_by_filled_par_moves_nothing():
    start = plan(LOADS, CLUSTER, routing="filled").placement
    stays = plan(COMING[:2], CLUSTER, current=start, min_gain=0.5, routing="filled")
    assert np.array_equal(stays.placement.phy2log, start.phy2log)
    assert 1 <= stays.declined < stays.par_before.mean()


def test_groups_stay_on_their_nodes():
    found = plan(LOADS, CLUSTER, groups=8, routing="filled")
    found.placement.validate()
    assert (found.primaries_over == 0).all()
    assert found.off_node_share == 0
    soft = plan(LOADS, CLUSTER, groups=8, off_node=0.05, routing="filled", effort="fast")
    assert (soft.bound <= soft.peak * (1 + 1e-6)).all()


def test_idle_loads_and_experts_twice_on_a_gpu_stay_as_they_are():
    idle = plan(Scenarios(np.zeros((2, 8))), Cluster(gpus=4, slots_per_gpu=3), routing="filled")
    assert (idle.par == 1).all()
    twice = plan([[5.0, 3]], Cluster(gpus=2, slots_per_gpu=3), routing="filled")
    assert twice.placement.duplicates.sum() > 0


def test_another_routing_is_refused():
    with pytest.raises(InputError, match="routing is 'vllm'; expected 'even', 'filled'"):
        plan(LOADS, CLUSTER, routing="vllm")
