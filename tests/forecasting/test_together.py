from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, Scenarios
from equipoise.forecasting import together as module
from equipoise.forecasting.together import plan_together
from equipoise.planning.afresh import plan_afresh, relieved
from equipoise.planning.effort import SETTINGS
from equipoise.planning.request import Request

CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=3)
LAYERS, EXPERTS = 2, 8


def scenarios_of(windows, seed):
    """Return scenarios for each number of windows."""
    random = np.random.default_rng(seed)
    return [Scenarios(random.lognormal(3, 1, (number, LAYERS, EXPERTS))) for number in windows]


def request_of(**asked):
    request = Request.checked(np.ones((LAYERS, EXPERTS)), CLUSTER, **asked)
    return replace(request, settings=SETTINGS["fast"])


def one_by_one(expected, first, request):
    """Plan for each by itself."""
    start = plan_afresh(request.serving(first)).placement if first else None
    for one in expected:
        asked = request.serving(one)
        yield relieved(asked, start) if start and one.windows > 1 else plan_afresh(asked)


@settings(deadline=None)
@given(
    windows=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    from_first=st.booleans(),
    groups=st.sampled_from([1, 4]),
    seed=st.integers(0, 999),
)
def test_each_plan_is_what_it_would_be_by_itself(windows, from_first, groups, seed):
    *expected, first = scenarios_of([*windows, 3], seed)
    request, first = request_of(groups=groups), first if from_first else None
    planned = plan_together(expected, first, request)
    alone = one_by_one(expected, first, request)
    for together, by_itself in zip(planned, alone, strict=True):
        np.testing.assert_array_equal(together.phy2log, by_itself.placement.phy2log)


@pytest.mark.parametrize("most", [1, 2 * LAYERS * CLUSTER.slots, 3 * LAYERS * CLUSTER.slots])
def test_as_many_are_planned_at_once_as_there_are_slots_for(monkeypatch, most):
    expected = scenarios_of([2, 1, 2, 1, 2, 2, 2], seed=0)
    whole = plan_together(expected, expected[0], request_of())
    layers = []

    def noted(request, start):
        layers.append(request.scenarios.layers)
        return relieved(request, start)

    monkeypatch.setattr(module, "relieved", noted)
    monkeypatch.setattr(module, "MOST_SLOTS", most)
    parts = plan_together(expected, expected[0], request_of())
    assert all(np.array_equal(one.phy2log, other.phy2log) for one, other in zip(whole, parts, strict=True))
    at_once = max(1, most // (LAYERS * CLUSTER.slots))
    assert layers == [LAYERS * min(at_once, 5 - done) for done in range(0, 5, at_once)]


@pytest.mark.parametrize("workers", [1, 3])
def test_progress_counts_the_plans_up_to_the_last(workers):
    told = []
    expected = scenarios_of([1, 2, 3, 2, 1, 4], seed=0)
    plan_together(expected, expected[1], request_of(workers=workers, progress=lambda *numbers: told.append(numbers)))
    assert told[-1] == (6, 6)
    assert {of for _, of in told} == {6}
    assert len({done for done, _ in told}) > 3
    if workers == 1:
        assert told == sorted(told)
