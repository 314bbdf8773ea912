from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equipoise import Cluster, InputError, Loads, Scenarios, forecast, plan
from equipoise.forecasting import forecast as module
from equipoise.replay.situation import Situation

CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=5)
PAST, COMING = (Loads(some) for some in np.random.default_rng(0).lognormal(3, 1, (2, 6, 3, 16)))
LIVE = plan(PAST.counts[0], CLUSTER).placement


@pytest.mark.parametrize("method", ["auto", "last", "recent"])
@pytest.mark.parametrize("groups", [1, 4])
def test_what_is_expected_is_what_the_past_says(method, groups):
    found = Situation(PAST, COMING, LIVE, {"groups": groups}).expected(method)
    expected = forecast(PAST, CLUSTER, method, groups=groups)
    assert found.methods == expected.methods
    assert np.array_equal(found.scenarios.counts, expected.scenarios.counts)
    assert np.array_equal(found.scenarios.weights, expected.scenarios.weights)


def test_each_method_is_worked_out_once_whatever_is_live(monkeypatch):
    tested, elsewhere = [], plan(COMING.counts[0], CLUSTER).placement
    monkeypatch.setattr(module, "backtest", lambda past, *_: tested.append(past) or {})
    situation = Situation(PAST, COMING, LIVE)
    other = replace(situation, current=elsewhere)
    assert situation.expected("auto") is other.expected("auto")
    assert situation.expected("last") is other.expected("last")
    assert situation.expected("auto") is not situation.expected("last")
    assert len(tested) == 1
    Situation(PAST, COMING, LIVE).expected("auto")
    assert len(tested) == 2


def test_plans_are_asked_for_what_all_are_and_for_their_own():
    situation = Situation(PAST, COMING, LIVE, {"groups": 4, "effort": "thorough", "off_node": 0.1})
    planned = situation.planned(Scenarios(PAST), effort="fast", current=LIVE, max_moves=5)
    expected = plan(
        Scenarios(PAST), CLUSTER, groups=4, off_node=0.1, effort="fast", current=LIVE, max_moves=5
    ).placement
    assert np.array_equal(planned.phy2log, expected.phy2log)


def test_there_are_no_groups_where_none_are_asked_for():
    assert (Situation(PAST, COMING, LIVE).groups, Situation(PAST, COMING, LIVE, {"groups": 2}).groups) == (1, 2)


def test_what_nobody_can_be_asked_for_is_refused():
    with pytest.raises(InputError, match="16 experts do not divide into 3 groups"):
        Situation(PAST, COMING, LIVE, {"groups": 3}).expected("last")
