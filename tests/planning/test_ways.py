from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement, Scenarios, plan

EFFORTS = st.sampled_from(["fast", "default"])
LOCALITIES = [
    {"locality": "strict"},
    {"locality": "soft"},
    {"off_node": 0.01},
    {"off_node": 0.1},
    {"off_node": 0.3},
    {"locality": "none"},
]


CAPPED = [one for one in LOCALITIES if "off_node" in one]


@st.composite
def asked(draw, may_die=True, localities=LOCALITIES):
    """Windows, a cluster, what is asked of a plan, and what is live: planned for other loads, or anything."""
    nodes, gpus_per_node = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    groups_per_node, group_size = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    per_node = groups_per_node * group_size
    slots_per_gpu = draw(st.integers(-(-per_node // gpus_per_node), per_node + 1))
    whole = Cluster(nodes * gpus_per_node, nodes, slots_per_gpu)
    groups = nodes * groups_per_node if localities is CAPPED else draw(st.sampled_from([1, nodes * groups_per_node]))
    wanted = {"groups": groups} | (draw(st.sampled_from(localities)) if groups > 1 else {})
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 3)), per_node * nodes
    loads = rng.lognormal(3, 1, shape).round() if draw(st.booleans()) else rng.integers(0, 4, shape).astype(float)
    if draw(st.booleans()):
        live = plan(rng.lognormal(3, 1, shape[1:]), whole, **draw(st.sampled_from([wanted, {"groups": 1}]))).placement
    else:
        live = Placement(rng.integers(0, shape[2], (shape[1], whole.slots)), whole, shape[2])
    dead = draw(st.sets(st.integers(0, whole.gpus - 1), max_size=1)) if may_die and whole.gpus > 1 else ()
    cluster = Cluster(whole.gpus, nodes, slots_per_gpu, tuple(dead))
    return Scenarios(loads), cluster, wanted, live


def planned(scenarios, cluster, **settings):
    """Plan, unless a node's live GPUs have too few slots."""
    try:
        return plan(scenarios, cluster, **settings)
    except InputError as error:
        assume("slots" not in str(error))
        raise


def allowed(live, placement):
    """Whether what is live is valid with the groups and the locality of another placement."""
    try:
        replace(live, groups=placement.groups, locality=placement.locality).validate()
    except InputError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(asked(), EFFORTS, st.sampled_from([None, 0.0, 0.1, 0.3, 1.0]), st.booleans())
def test_no_plan_is_below_its_bound(situation, effort, most, from_live):
    scenarios, cluster, wanted, live = situation
    limits = {"current": live, "max_moves": most} if from_live else {}
    result = planned(scenarios, cluster, effort=effort, **wanted, **limits)
    assert (result.bound <= result.peak * (1 + 1e-9)).all()
    assert all((bound <= result.peak * (1 + 1e-9)).all() for bound in [result.bounds["none"]])


@settings(max_examples=200, deadline=None)
@given(asked(may_die=False, localities=CAPPED), EFFORTS, st.sampled_from([None, 0.0, 0.1, 0.3, 1.0]))
def test_what_is_off_its_node_is_within_the_cap_whatever_is_live(situation, effort, most):
    scenarios, cluster, wanted, live = situation
    assume("off_node" in wanted)
    result = planned(scenarios, cluster, effort=effort, current=live, max_moves=most, **wanted)
    assert result.off_node_share <= wanted["off_node"] + 1e-9
    assert result.off_node_excess == 0
    budget = np.inf if most is None else most * result.placement.live_slots
    assert result.moves.sum() <= max(budget, 0) + result.required.sum()


@settings(max_examples=200, deadline=None)
@given(asked(may_die=False), EFFORTS, st.sampled_from([None, 1.0]))
def test_with_any_number_of_moves_it_ends_no_higher_than_from_nothing(situation, effort, most):
    scenarios, cluster, wanted, live = situation
    afresh = planned(scenarios, cluster, effort=effort, **wanted)
    result = planned(scenarios, cluster, effort=effort, current=live, max_moves=most, **wanted)
    near_the_bound = afresh.bound_on_par.mean() * 1.001
    assert result.par.mean() <= max(afresh.par.mean() * (1 + 1e-9), near_the_bound)


@settings(max_examples=200, deadline=None)
@given(asked(may_die=False), EFFORTS, st.sampled_from([None, 0.0, 0.1, 1.0]))
def test_no_layer_ends_worse_than_if_nothing_is_done_where_nothing_must_be(situation, effort, most):
    scenarios, cluster, wanted, live = situation
    result = planned(scenarios, cluster, effort=effort, current=live, max_moves=most, **wanted)
    assume(result.locality != "soft" and allowed(live, result.placement))
    nothing_must_be = result.required == 0  # experts that repeat on a GPU without need are taken off it
    assert (result.par <= result.par_before * (1 + 1e-9))[nothing_must_be].all()


@pytest.mark.parametrize("locality", [{}, {"groups": 4, "off_node": 0.2}])
def test_a_plan_of_more_windows_than_are_searched_is_not_made_worse_over_all_of_them(locality):
    cluster = Cluster(gpus=4, nodes=2, slots_per_gpu=3)
    for seed in range(20):
        scenarios = Scenarios(np.random.default_rng(seed).lognormal(3, 1, (9, 2, 8)))
        live = plan(scenarios, cluster, effort="fast", **locality).placement
        again = plan(scenarios, cluster, effort="fast", current=live)
        assert (again.par <= scenarios.par(live) * (1 + 1e-12)).all()


@settings(max_examples=200, deadline=None)
@given(asked(may_die=False), EFFORTS, st.sampled_from([None, 0.0, 0.1]))
def test_its_own_plan_for_the_same_loads_stays_as_good(situation, effort, most):
    scenarios, cluster, wanted, _ = situation
    own = planned(scenarios, cluster, effort=effort, **wanted)
    again = planned(scenarios, cluster, effort=effort, current=own.placement, max_moves=most)
    assert (again.par <= own.par * (1 + 1e-9)).all()
    if most == 0.0:
        assert not again.moves.any()
        assert not again.required.any()


@settings(max_examples=100, deadline=None)
@given(asked(localities=[{"locality": "soft"}, {"locality": "strict"}, {"locality": "none"}]), EFFORTS)
def test_with_dead_gpus_too_it_ends_no_higher_than_from_nothing(situation, effort):
    scenarios, cluster, wanted, live = situation
    afresh = planned(scenarios, cluster, effort=effort, **wanted)
    result = planned(scenarios, cluster, effort=effort, current=live, **wanted)
    assert result.par.mean() <= max(afresh.par.mean() * (1 + 1e-9), afresh.bound_on_par.mean() * 1.001)


def test_the_locality_that_is_live_keeps_its_cap_when_it_is_asked_for_again():
    loads, cluster = np.random.default_rng(0).lognormal(3, 1, (2, 16)), Cluster(gpus=8, nodes=4, slots_per_gpu=3)
    live = plan(loads, cluster, groups=8, off_node=0.05).placement
    for asked_again in ({}, {"groups": 8}, {"locality": "soft"}, {"groups": 8, "locality": "soft"}):
        assert plan(loads, cluster, current=live, **asked_again).placement.off_node == 0.05
    assert plan(loads, cluster, current=live, off_node=0.2).placement.off_node == 0.2
    assert plan(loads, cluster, current=live, locality="strict").placement.off_node == 0


def test_drift_does_not_wedge_at_the_cap():
    rng = np.random.default_rng(0)
    cluster = Cluster(gpus=8, nodes=4, slots_per_gpu=10)
    earlier, later = rng.lognormal(3, 1, (2, 6, 64))
    live = plan(earlier, cluster, groups=8, off_node=0.05).placement
    kept = plan(later, cluster, current=live, max_moves=0.1)
    assert (kept.locality, kept.placement.groups) == ("soft", 8)
    assert kept.off_node_share <= 0.05 + 1e-9
    assert kept.par.mean() < 0.9 * kept.par_before.mean()
