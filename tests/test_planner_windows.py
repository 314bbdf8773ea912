"""plan() for several windows: the mean of their peaks is made small, within all that limits a plan for one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, balance, plan
from equipoise.locality import homes
from equipoise.scenarios import Scenarios
from equipoise.traces import synthetic_trace
from reference.exact import windows_optimum
from situations import changed_ones, live_ones

EFFORTS = ["fast", "default", "thorough"]
BUDGETS = [0, 3, 0.1, None]


@st.composite
def over_windows(draw, situations):
    """The situation, but its loads vary over two to five windows, ``[windows, layers, experts]``; some are idle."""
    situation = draw(situations)
    windows, rng = draw(st.integers(2, 5)), np.random.default_rng(draw(st.integers(0, 999)))
    spread = draw(st.sampled_from([0.0, 0.5, 2.0]))
    varying = situation.loads * rng.lognormal(0, spread, (windows, *situation.loads.shape))
    return replace(situation, loads=varying * (rng.random((windows, len(situation.loads), 1)) > 0.1))


SITUATIONS = over_windows(live_ones() | changed_ones())


@settings(max_examples=100, deadline=None)
@given(situation=SITUATIONS, budget=st.sampled_from(BUDGETS), effort=st.sampled_from(EFFORTS), live=st.booleans())
def test_every_plan_is_valid_and_says_the_truth(situation, budget, effort, live):
    changes = {"max_moves": budget} if live else {"current": None}
    result = situation.plan(effort=effort, **changes)
    result.placement.validate()
    scenarios = Scenarios(situation.loads)
    peaks = balance(result.placement, scenarios.counts).peak
    np.testing.assert_allclose(result.peak, (scenarios.weights * peaks).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(result.mean, scenarios.mean.sum(axis=1) / len(situation.cluster.live), rtol=1e-12)
    for bound in [*result.bounds.values(), result.mean]:
        assert (bound <= result.peak * (1 + 1e-9)).all() or bound is not result.bound
    assert (result.bound <= result.peak * (1 + 1e-9)).all()
    assert (result.mean <= result.peak * (1 + 1e-9)).all()
    assert (result.gap >= -1e-9).all()
