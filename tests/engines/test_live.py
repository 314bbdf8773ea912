"""A live plug-in plans from what is live, says so in one line, and fails no engine."""

from __future__ import annotations

import json
import logging
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement, plan
from equipoise.engines.live import EngineCall, cluster_of, replanned
from equipoise.engines.settings import Settings

LOG = logging.getLogger("test")
LOADS = np.random.default_rng(0).lognormal(5, 1, (1, 3, 16)).round()
CLUSTER = Cluster(gpus=8, nodes=2, slots_per_gpu=3)
LIVE = Placement.default(CLUSTER, experts=16, layers=3).phy2log


def line_of(caplog):
    [record] = caplog.records
    return record.getMessage()


def test_the_plan_is_that_of_plan_within_the_limits():
    call = EngineCall(LOADS, CLUSTER, 4, LIVE)
    live = Placement(LIVE, Cluster(gpus=8, slots_per_gpu=3), experts=16)
    expected = plan(LOADS, CLUSTER, groups=4, current=live, max_moves=7, off_node=0.1).placement
    found = replanned(call, Settings(max_moves=7, off_node=0.1), LOG)
    np.testing.assert_array_equal(found.phy2log, expected.phy2log)


def test_the_first_plan_has_nothing_live_to_be_limited_by():
    found = replanned(EngineCall(LOADS, CLUSTER, 4, None), Settings(max_moves=0, min_gain=0.5), LOG)
    np.testing.assert_array_equal(found.phy2log, plan(LOADS, CLUSTER, groups=4).placement.phy2log)


def test_the_log_is_json_where_that_is_asked_for_and_says_the_same(caplog):
    caplog.set_level(logging.INFO)
    call = EngineCall(LOADS, CLUSTER, 1, LIVE)
    for asked in (False, True):
        replanned(call, Settings(log_json=asked), LOG)
    words, figures = caplog.messages[0], json.loads(caplog.messages[1])
    assert (figures["equipoise"], figures["layers"], figures["gpus"]) == ("re-planned", 3, 8)
    assert f"PAR {figures['par_before']:.4f} -> {figures['par']:.4f}, {figures['moves']} moves" in words
    assert words.endswith(f"settings {figures['settings']}, placement {figures['placement']}")


def test_every_expert_is_on_as_many_gpus_as_the_settings_say():
    cluster = Cluster(gpus=8, nodes=2, slots_per_gpu=5)
    for across, spread in (("gpus", 2), ("nodes", 2)):
        limits = Settings(min_replicas=spread, across=across, effort="fast")
        found = replanned(EngineCall(LOADS, cluster, 1, None), limits, LOG)
        assert found.spread(across).min() == spread


def test_settings_of_locality_do_not_matter_without_groups():
    for limits in (Settings(off_node=0.1), Settings(locality="soft")):
        found = replanned(EngineCall(LOADS, CLUSTER, 1, None), limits, LOG)
        np.testing.assert_array_equal(found.phy2log, plan(LOADS, CLUSTER).placement.phy2log)


def test_one_line_says_par_moves_time_and_digests(caplog):
    caplog.set_level(logging.INFO)
    limits = Settings(max_moves=7)
    found = replanned(EngineCall(LOADS, CLUSTER, 1, LIVE), limits, LOG)
    line = line_of(caplog)
    assert re.match(
        r"Equipoise re-planned 3 layers on 8 GPUs in \d+ ms: PAR (\d\.\d{4}) -> (\d\.\d{4}), 7 moves, 9\.7% of the "
        rf"slots; settings {limits.digest}, placement [0-9a-f]{{8}}$",
        line,
    )
    caplog.clear()
    replanned(EngineCall(LOADS, CLUSTER, 1, found.phy2log), Settings(min_gain=1.0), LOG)
    assert re.search(r"0 moves, 0\.0% of the slots \(PAR \d\.\d{4} was not worth its moves\); ", line_of(caplog))


def test_the_same_placement_has_the_same_digest_and_another_another(caplog):
    caplog.set_level(logging.INFO)
    for most in (0, 0, 5):
        replanned(EngineCall(LOADS, CLUSTER, 1, LIVE), Settings(max_moves=most), LOG)
    digests = [record.getMessage().split()[-1] for record in caplog.records]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_odd_loads_leave_everything_as_it_is_and_are_logged_with_the_traceback(bad, caplog):
    loads = LOADS.copy()
    loads[0, 1, 2] = bad
    found = replanned(EngineCall(loads, CLUSTER, 4, LIVE), Settings(), LOG)
    np.testing.assert_array_equal(found.phy2log, LIVE)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "layer 1, expert 2" in str(record.exc_info[1])


@pytest.mark.parametrize(
    "step", ["engines.live.prepare", "engines.live.plan", "planner.expect", "planning.finding.replan"]
)
def test_whatever_fails_the_engine_goes_on(step, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("no memory, no compiler, no luck")

    monkeypatch.setattr(f"equipoise.{step}", fail)
    found = replanned(EngineCall(LOADS, CLUSTER, 4, LIVE), Settings(), LOG)
    np.testing.assert_array_equal(found.phy2log, LIVE)
    assert "no luck" in caplog.text


@pytest.mark.parametrize(
    "live",
    [
        None,
        LIVE[:, :-3],
        LIVE[:, :-1],
        np.where(np.arange(24) == 5, -1, LIVE),
        np.where(LIVE == 15, 14, LIVE),
        np.where(LIVE == 15, 16, LIVE),
        LIVE[:2],
    ],
    ids=["nothing", "fewer GPUs", "no whole GPUs", "empty slot", "expert lost", "no such expert", "another model"],
)
def test_where_what_is_live_is_no_answer_the_experts_are_in_order(live, caplog):
    found = replanned(EngineCall(LOADS * np.nan, CLUSTER, 4, live), Settings(), LOG)
    np.testing.assert_array_equal(found.phy2log, LIVE)
    assert "could not plan" in line_of(caplog)


def test_a_live_placement_with_an_expert_twice_on_a_gpu_stays(caplog):
    live = LIVE.copy()
    live[:, -2] = live[:, -1]
    found = replanned(EngineCall(LOADS * np.nan, CLUSTER, 4, live), Settings(), LOG)
    np.testing.assert_array_equal(found.phy2log, live)


def test_failing_leaves_dead_gpus_empty():
    dead = Cluster(gpus=8, slots_per_gpu=3, dead=[1])
    found = replanned(EngineCall(LOADS * np.nan, dead, 1, LIVE), Settings(), LOG)
    found.validate()
    assert (found.phy2log[:, 3:6] == -1).all()


def test_too_few_slots_are_refused():
    with pytest.raises(InputError, match="no replica of expert 8"):
        replanned(EngineCall(LOADS, Cluster(gpus=8), 1, None), Settings(), LOG)


def test_groups_count_where_nodes_divide_them_and_all_gpus_are_up():
    assert cluster_of(24, 8, 2, 4, []) == (Cluster(gpus=8, nodes=2, slots_per_gpu=3), 4)
    alone = Cluster(gpus=8, slots_per_gpu=3)
    for nodes, groups in ((2, 3), (3, 3), (2, None), (2, 0), (2, 1)):
        assert cluster_of(24, 8, nodes, groups, [])[1] == 1
    assert cluster_of(24, 8, 2, 3, []) == (alone, 1)
    assert cluster_of(24, 8, 2, 4, [5]) == (Cluster(gpus=8, slots_per_gpu=3, dead=[5]), 1)


@pytest.mark.parametrize(("experts", "groups", "nodes"), [(17, 4, 2), (24, 24, 2), (24, 8, 8), (24, 3, 2)])
def test_groups_that_tie_nothing_are_passed_over_with_one_line(experts, groups, nodes, caplog):
    loads = np.random.default_rng(0).lognormal(0, 1, (1, 2, experts))
    cluster = Cluster(gpus=8, nodes=nodes, slots_per_gpu=4)
    with caplog.at_level(logging.INFO, logger=LOG.name):
        found = replanned(EngineCall(loads, cluster, groups, None), Settings(), LOG)
    anywhere = plan(loads, Cluster(gpus=8, slots_per_gpu=4)).placement
    np.testing.assert_array_equal(found.phy2log, anywhere.phy2log)
    assert [line for line in caplog.messages if f"{groups} groups of {experts} experts tie nothing" in line]
    assert not [record for record in caplog.records if record.exc_info]


def test_what_the_engine_holds_is_not_changed_with_the_plan():
    live = LIVE.copy()
    found = replanned(EngineCall(LOADS, CLUSTER, 1, live), Settings(max_moves=0), LOG)
    before = found.phy2log.copy()
    live[:] = -1
    np.testing.assert_array_equal(found.phy2log, before)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_is_live_the_answer_is_valid_and_keeps_to_the_budget(data):
    gpus, before, spare = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 6)), data.draw(st.integers(0, 2))
    layers, experts = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 8))
    cluster = Cluster(gpus=gpus, slots_per_gpu=-(-experts // gpus) + spare)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    live = random.integers(-1, experts, (layers, before * cluster.slots_per_gpu))
    loads = random.integers(0, 3, (2, layers, experts)) * random.integers(0, 100, (2, layers, experts))
    assume(loads.any())
    found = replanned(EngineCall(loads, cluster, 1, live), Settings(max_moves=0), LOG)
    found.validate()
    current = Placement(live, Cluster(gpus=before, slots_per_gpu=cluster.slots_per_gpu), experts)
    strictest = plan(loads, cluster, current=current, max_moves=0)
    assert (strictest.moves == strictest.required).all()
    np.testing.assert_array_equal(found.phy2log, strictest.placement.phy2log)
