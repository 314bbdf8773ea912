"""plan() for several windows: the mean of their peaks is made small, within all that limits a plan for one."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, Loads, Scenarios, balance, plan, synthetic_trace
from equipoise.migration.migration import count_moves
from tests.reference.exact import windows_optimum
from tests.situations import changed_ones, live_ones

EFFORTS = ["fast", "default", "thorough"]
BUDGETS = [0, 3, 0.1, None]


@st.composite
def over_windows(draw, situations):
    """The situation, but with two to five windows that may come, some of them idle."""
    situation = draw(situations)
    windows, rng = draw(st.integers(2, 5)), np.random.default_rng(draw(st.integers(0, 999)))
    change = rng.lognormal(0, draw(st.sampled_from([0.0, 0.5, 2.0])), (windows, *situation.loads.shape))
    busy = rng.random((windows, len(situation.loads), 1)) > 0.1
    return replace(situation, loads=Scenarios(situation.loads * change * busy))


SITUATIONS = over_windows(live_ones() | changed_ones())
STRICT = over_windows(live_ones(strict=True) | changed_ones(strict=True))


@settings(max_examples=100, deadline=None)
@given(situation=SITUATIONS, effort=st.sampled_from(EFFORTS), afresh=st.booleans())
def test_every_plan_is_valid_and_says_the_truth(situation, effort, afresh):
    result = situation.plan(effort=effort, **({"current": None} if afresh else {}))
    result.placement.validate()
    scenarios = situation.loads
    peaks = balance(result.placement, scenarios.counts).peak
    np.testing.assert_allclose(result.peak, (scenarios.weights * peaks).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(result.mean, scenarios.mean.sum(axis=1) / len(situation.cluster.live), rtol=1e-12)
    assert (result.bound <= result.peak * (1 + 1e-9)).all()
    assert (result.bounds["none"] >= result.mean * (1 - 1e-9)).all()


@settings(max_examples=60, deadline=None)
@given(situation=SITUATIONS, budget=st.sampled_from(BUDGETS), effort=st.sampled_from(EFFORTS))
def test_moves_are_within_the_budget_or_required(situation, budget, effort):
    result = situation.plan(max_moves=budget, effort=effort)
    most = budget * situation.cluster.live_slots * len(result.peak) if isinstance(budget, float) else budget
    assert result.moves.tolist() == count_moves(situation.current, result.placement).tolist()
    assert most is None or result.moves.sum() <= max(most, result.required.sum())
    assert (situation.plan(max_moves=0, effort=effort).moves == result.required).all()


@settings(max_examples=60, deadline=None)
@given(situation=over_windows(live_ones()), budget=st.sampled_from(BUDGETS), effort=st.sampled_from(EFFORTS))
def test_no_layer_is_worse_than_if_nothing_were_done(situation, budget, effort):
    result = situation.plan(max_moves=budget, effort=effort)
    may_stay = result.required == 0
    assert (result.peak <= situation.loads.peak(situation.current) * (1 + 1e-9))[may_stay].all()


@settings(max_examples=60, deadline=None)
@given(situation=STRICT, afresh=st.booleans())
def test_strict_groups_are_each_on_one_node(situation, afresh):
    placement, groups = situation.plan(**({"current": None} if afresh else {})).placement, situation.settings["groups"]
    for slots in placement.phy2log.reshape(placement.layers, placement.cluster.nodes, -1):
        held = [set((node[node >= 0] * groups // placement.experts).tolist()) for node in slots]
        assert Counter(group for node in held for group in node) == dict.fromkeys(range(groups), 1)
        assert {len(node) for node in held} == {groups // placement.cluster.nodes}


@settings(max_examples=60, deadline=None)
@given(situation=over_windows(live_ones(may_die=False)), share=st.sampled_from([0.02, 0.1, 0.5]))
def test_no_more_load_than_allowed_is_served_off_its_node(situation, share):
    groups = situation.settings["groups"]
    if groups == 1:
        return
    result = plan(situation.loads, situation.cluster, groups=groups, off_node=share)
    assert np.average(result.off_node, weights=result.mean if result.mean.any() else None) <= share * (1 + 1e-9)


TRACE = synthetic_trace("fast", windows=9, layers=23, experts=32, seed=1).counts
WINDOWS = Scenarios(TRACE)
CLUSTER = Cluster(gpus=8, nodes=2, slots_per_gpu=5)
LIVE = plan(TRACE[0], CLUSTER).placement
PLAN_A_FILE = """
import sys
import numpy as np
from equipoise import Cluster, Scenarios, plan
result = plan(Scenarios(np.load(sys.argv[1])), Cluster(gpus=8, nodes=2, slots_per_gpu=5), groups=4, effort="thorough")
sys.stdout.buffer.write(result.placement.phy2log.tobytes() + result.peak.tobytes() + result.bound.tobytes())
"""


def as_bytes(result) -> bytes:
    return result.placement.phy2log.tobytes() + result.peak.tobytes() + result.bound.tobytes()


@pytest.mark.parametrize("change", [{}, {"groups": 4}, {"groups": 4, "off_node": 0.1}, {"current": LIVE}], ids=str)
@pytest.mark.parametrize("effort", EFFORTS)
def test_any_number_of_workers_gives_the_same_plan(effort, change):
    plans = {as_bytes(plan(WINDOWS, CLUSTER, effort=effort, workers=workers, **change)) for workers in (None, 1, 2, 50)}
    assert len(plans) == 1


def test_any_process_gives_the_same_plan(tmp_path):
    np.save(tmp_path / "loads.npy", TRACE)
    command = [sys.executable, "-c", PLAN_A_FILE, str(tmp_path / "loads.npy")]
    written = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert written == [as_bytes(plan(WINDOWS, CLUSTER, groups=4, effort="thorough"))] * 2


def test_progress_counts_up_to_all_layers_once():
    calls = []
    plan(WINDOWS, CLUSTER, workers=1, progress=lambda *call: calls.append(call))
    assert calls == sorted(set(calls))
    assert calls[-1] == (23, 23)


def test_experts_that_run_hot_together_do_not_share_a_gpu():
    windows = [[[10, 9, 1, 1]], [[1, 1, 9, 10]]]
    cluster = Cluster(gpus=2, slots_per_gpu=2)
    result, added_up = plan(Scenarios(windows), cluster), plan(Scenarios(np.sum(windows, axis=0)), cluster)
    assert Scenarios(windows).peak(added_up.placement).tolist() == [19]
    assert result.peak.tolist() == [11]


# Measured on these: 4 % lower where traffic drifts slowly, 8 to 9 % where fast, 5 % (fast) and 13 % where all is noise.
@pytest.mark.parametrize("effort", ["fast", "default"])
@pytest.mark.parametrize(("regime", "lower"), [("slow", 0.03), ("fast", 0.07), ("noise", 0.04)])
def test_the_mean_peak_is_lower_than_that_of_a_plan_for_the_mean(regime, lower, effort):
    ratios = []
    for seed in range(20):
        trace = synthetic_trace(regime, windows=12, layers=2, experts=32, seed=seed)
        scenarios = Scenarios(trace)
        for_the_mean = plan(scenarios.mean, CLUSTER, effort=effort).placement
        ratios.append(plan(scenarios, CLUSTER, effort=effort).peak / scenarios.peak(for_the_mean))
    assert np.mean(ratios) < 1 - lower


def test_more_effort_ends_lower():
    fast, default = (plan(WINDOWS, CLUSTER, effort=effort).par.mean() for effort in ("fast", "default"))
    assert default < fast


@pytest.mark.parametrize("groups", [1, 4])
def test_more_moves_end_lower(groups):
    current = plan(TRACE[0], CLUSTER, groups=groups).placement
    budgets = (0, 0.02, 0.1, 0.3, None)
    par = [plan(WINDOWS, CLUSTER, groups=groups, current=current, max_moves=budget).par.mean() for budget in budgets]
    assert par == sorted(par, reverse=True)
    assert par[0] > par[1] > par[2] > par[-1]


def test_more_load_off_its_node_ends_lower():
    shares = (0.0, 0.02, 0.1, 0.4)
    par = [plan(WINDOWS, CLUSTER, groups=4, off_node=share).par.mean() for share in shares]
    assert par[0] > par[1] > par[2] > par[3]


@pytest.mark.parametrize("windows", [2, 5, 40])
@pytest.mark.parametrize("effort", EFFORTS)
def test_equal_windows_end_where_one_of_them_does(windows, effort):
    one, many = (plan(Scenarios(np.repeat(TRACE[:1], times, axis=0)), CLUSTER, effort=effort) for times in (1, windows))
    np.testing.assert_allclose(many.peak, one.peak, rtol=2e-3)  # one window is searched longer for the last thousandth
    np.testing.assert_allclose(many.bound, one.bound, rtol=1e-9)


def test_a_busy_window_weighs_no_more_than_a_quiet_one():
    busy = TRACE[:4] * np.array([1, 64, 4, 2])[:, None, None]
    totals = TRACE[:4].sum(axis=2, keepdims=True)
    even = plan(Scenarios(TRACE[:4] / totals), CLUSTER)
    assert plan(Scenarios(busy), CLUSTER).par == pytest.approx(even.par, rel=0.02)


@pytest.mark.parametrize("change", [{}, {"current": LIVE}], ids=["afresh", "live"])
def test_what_happens_in_a_window_without_weight_does_not_matter(change):
    other = TRACE[:4].copy()
    other[2] = other[2, :, ::-1]
    plans = [plan(Scenarios(some, [1, 2, 0, 1]), CLUSTER, **change) for some in (TRACE[:4], other)]
    assert as_bytes(plans[0]) == as_bytes(plans[1])


def test_windows_of_more_weight_are_served_better():
    evenly, unevenly = (plan(Scenarios(TRACE[:3], weights), CLUSTER).placement for weights in ([1, 1, 1], [50, 1, 1]))
    assert balance(unevenly, TRACE[0]).par.mean() < balance(evenly, TRACE[0]).par.mean()


def test_a_plan_knows_what_it_was_made_for():
    scenarios = Scenarios(TRACE, np.arange(1, 10))
    assert plan(scenarios, CLUSTER, effort="fast").scenarios is scenarios
    recorded = plan(Loads(TRACE), CLUSTER, effort="fast", forecast="windows").scenarios
    assert recorded.counts.tolist() == Scenarios(TRACE).counts.tolist()


def test_a_layer_that_is_idle_throughout_is_placed_all_the_same():
    windows = TRACE[:3].copy()
    windows[:, 1] = 0
    result = plan(Scenarios(windows), CLUSTER)
    assert (result.peak[1], result.bound[1], result.par[1], result.gap[1]) == (0, 0, 1, 0)
    result.placement.validate()


SMALL = [(6, 3, 3), (7, 4, 3), (8, 4, 3), (8, 6, 2), (8, 4, 2), (9, 3, 4)]  # experts, GPUs, slots per GPU


@pytest.fixture(scope="module")
def small_optima():
    """Windows of one layer, ``[windows, experts]``, with their cluster and least mean peak, proven."""
    found = []
    for experts, gpus, slots_per_gpu in SMALL:
        for windows, seed in ((2, 0), (2, 1), (3, 0), (3, 1), (4, 0)):
            loads = np.random.default_rng([seed, experts, gpus, windows]).lognormal(5, 1, (windows, experts))
            loads = loads.astype(int) + 1
            loads[:, 0] += loads.sum(axis=1).max() - loads.sum(axis=1)  # as much in every window, in whole numbers
            best = windows_optimum(loads, gpus, slots_per_gpu)
            assert best.proven
            found.append((loads, Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu), float(best.peak)))
    return found


# Measured on these: 3.1 % above the optimum on average, and 24 % at most, where no single change gives relief.
@pytest.mark.parametrize(("effort", "mean_distance"), [("default", 0.04), ("thorough", 0.04)])
def test_plans_are_near_the_optimum_and_bounds_below_it(small_optima, effort, mean_distance):
    distances = []
    for loads, cluster, least in small_optima:
        result = plan(Scenarios(loads[:, None]), cluster, effort=effort)
        assert result.bound[0] * (1 - 1e-12) <= least <= result.peak[0] * (1 + 1e-12)
        distances.append(result.peak[0] / least - 1)
    print(f"{effort}: {np.mean(distances):.4%} above the optimum on average, {max(distances):.4%} at most")
    assert np.mean(distances) < mean_distance
