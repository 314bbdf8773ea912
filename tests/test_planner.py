from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.cases import CASES
from benchmarks.loads import counts_of
from equipoise import Cluster, InputError, Loads, Scenarios, balance, forecast, plan
from equipoise.forecasting.forecast import METHODS
from equipoise.planning.effort import SETTINGS
from tests.reference.exact import grouped_optimum, optimum
from tests.reference.original_refinement import original_refinement
from tests.reference.simple_steps import peak

if TYPE_CHECKING:
    from equipoise import Placement, Plan

EFFORTS = ["fast", "default", "thorough"]
LOAD_KINDS = {
    "idle": st.just(0.0),
    "equal": st.just(7.0),
    "counts": st.integers(0, 1000),
    "few values": st.sampled_from([0.0, 1.0, 3.0]),
    "any size": st.floats(-300, 300).map(lambda exponent: 10.0**exponent),
    "huge counts": st.integers(2**53, 2**63),
}


@st.composite
def problems(draw):
    """Loads ``[layers, experts]``, a cluster that can hold them, and the number of groups."""
    nodes, gpus_per_node = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    groups_per_node, group_size = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    per_node = groups_per_node * group_size
    least = -(-per_node // gpus_per_node)
    slots_per_gpu = draw(st.integers(least, per_node + 2))  # beyond per_node, experts must share a GPU with themselves
    layers = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(sorted(LOAD_KINDS)))
    shape = layers, nodes * per_node
    loads = np.array([[float(draw(LOAD_KINDS[kind])) for _ in range(shape[1])] for _ in range(shape[0])])
    if draw(st.booleans()):
        loads[:, draw(st.integers(0, shape[1] - 1))] *= 1000.0  # one hot expert
    cluster = Cluster(gpus=nodes * gpus_per_node, nodes=nodes, slots_per_gpu=slots_per_gpu)
    return loads, cluster, draw(st.sampled_from([1, nodes * groups_per_node]))


def assert_groups_are_bound(placement: Placement, groups: int) -> None:
    """Check that every group is on one node, and equally many groups on each."""
    nodes = placement.cluster.nodes
    for layer in placement.phy2log:
        by_node = layer.reshape(nodes, -1) // (placement.experts // groups)
        assert [len(set(held.tolist())) for held in by_node] == [groups // nodes] * nodes
        assert set().union(*by_node.tolist()) == set(range(groups))


@settings(max_examples=150, deadline=None)
@given(problem=problems(), effort=st.sampled_from(EFFORTS))
def test_every_plan_is_valid_and_says_the_truth(problem, effort):
    loads, cluster, groups = problem
    result = plan(Scenarios(loads), cluster, groups=groups, effort=effort)
    placement = result.placement
    placement.validate()
    homes = cluster.nodes if groups > 1 else 1
    if cluster.slots_per_gpu <= placement.experts // homes:
        assert not placement.duplicates.any()
    if groups > 1:
        assert_groups_are_bound(placement, groups)

    measured = balance(placement, loads)
    np.testing.assert_allclose(result.peak, measured.peak[0], rtol=1e-12)
    np.testing.assert_allclose(result.mean, measured.mean[0], rtol=1e-12)
    assert (result.bound <= result.peak * (1 + 1e-12)).all()
    assert (result.bound >= result.mean * (1 - 1e-12)).all()
    assert (result.gap >= -1e-12).all()
    assert (result.par[loads.sum(axis=1) == 0] == 1).all()


def uneven_load(seed: int, experts: int) -> np.ndarray:
    """Return loads of which no two tie: the reference sums in another order, and rounding would decide between them."""
    rng = np.random.default_rng(seed)
    return [rng.lognormal(0, 1, experts), rng.pareto(1, experts), rng.uniform(1, 1.5, experts)][seed % 3]


def original_peak(load: np.ndarray, cluster: Cluster) -> float:
    return peak(load, original_refinement(load, cluster.gpus, cluster.slots_per_gpu))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(gpus=st.integers(1, 24), slots_per_gpu=st.integers(1, 8), fill=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_plans_are_never_worse_than_the_original_refinement(gpus, slots_per_gpu, fill, seed):
    experts = slots_per_gpu + round(fill * (gpus - 1) * slots_per_gpu)
    load, cluster = uneven_load(seed, experts), Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu)
    assert plan(load, cluster).peak[0] <= original_peak(load, cluster) * (1 + 1e-9)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(gpus=st.integers(2, 8), slots_per_gpu=st.integers(9, 24), fill=st.floats(0.7, 1), seed=st.integers(0, 10**6))
def test_with_many_slots_never_worse_or_within_tolerance_of_the_bound(gpus, slots_per_gpu, fill, seed):
    experts = slots_per_gpu + round(fill * (gpus - 1) * slots_per_gpu)
    load, cluster = uneven_load(seed, experts), Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu)
    result = plan(load, cluster)
    close_enough = result.bound[0] * (1 + SETTINGS["default"].tolerance)
    assert result.peak[0] <= max(original_peak(load, cluster), close_enough) * (1 + 1e-9)


def test_more_effort_ends_lower():
    loads, cluster = np.random.default_rng(0).lognormal(5, 1, (20, 24)), Cluster(gpus=8, slots_per_gpu=4)
    fast, default, thorough = (plan(loads, cluster, effort=effort).par.mean() for effort in EFFORTS)
    assert thorough < default < fast


@pytest.mark.parametrize(("gpus", "slots_per_gpu"), [(32, 9), (64, 5)])
def test_few_experts_with_nearly_all_the_load_are_cut_into_pieces_that_fit(gpus, slots_per_gpu):
    loads = [1e6] * 16 + [1.0] * 240
    assert plan(loads, Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu)).par.max() < 1.0002


def test_what_follows_from_a_plan():
    result = plan([[60, 20, 20, 20], [0, 0, 0, 0]], Cluster(gpus=2, slots_per_gpu=3))
    assert result.peak.tolist() == result.mean.tolist() == result.bound.tolist() == [60, 0]
    assert result.par.tolist() == [1, 1]
    assert result.gap.tolist() == [0, 0]
    default = [[{0, 1, 2}, {3, 0, 1}]] * 2
    planned = [[set(gpu) for gpu in layer] for layer in result.placement.phy2log.reshape(2, 2, 3).tolist()]
    assert result.moves.tolist() == [
        sum(len(new - old) for new, old in zip(*layer, strict=True)) for layer in zip(planned, default, strict=True)
    ]


SMALL = [(6, 3, 3), (7, 4, 3), (8, 4, 3), (8, 6, 2), (8, 8, 2), (9, 3, 4)]  # experts, GPUs, slots per GPU


@pytest.fixture(scope="module")
def small_optima():
    """Layers with their clusters and least peaks, proven."""
    found = []
    for experts, gpus, slots_per_gpu in SMALL:
        for seed in range(3):
            load = np.random.default_rng([seed, experts, gpus]).lognormal(6, 1, experts).astype(int) + 1
            best = optimum(load, gpus, slots_per_gpu)
            assert best.proven
            found.append((load, Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu), float(best.peak)))
    return found


# Measured on these layers: 0.76 % at default effort, most of it with 8 experts in 16 slots on 8 GPUs; none at thorough.
@pytest.mark.parametrize(("effort", "mean_distance"), [("default", 0.008), ("thorough", 1e-6)])
def test_plans_are_near_the_optimum_and_bounds_below_it(small_optima, effort, mean_distance):
    distances = []
    for load, cluster, least in small_optima:
        result = plan(Scenarios(load), cluster, effort=effort)
        assert result.bound[0] * (1 - 1e-12) <= least <= result.peak[0] * (1 + 1e-12)
        distances.append(result.peak[0] / least - 1)
    print(f"{effort}: {np.mean(distances):.4%} above the optimum on average, {max(distances):.4%} at most")
    assert np.mean(distances) < mean_distance


@pytest.mark.parametrize("seed", range(6))
def test_grouped_plans_are_near_the_optimum_and_bounds_below_it(seed):
    load = np.random.default_rng(seed).lognormal(6, 1, 8).astype(int) + 1
    best = grouped_optimum(load, 4, 3, groups=4, nodes=2)
    assert best.proven
    result = plan(load, Cluster(gpus=4, nodes=2, slots_per_gpu=3), groups=4, effort="thorough")
    assert result.bound[0] <= float(best.peak) * (1 + 1e-12)
    # Step 1 takes the grouping with the least node load, which need not have the least peak: seed 4 ends 3.5 % above.
    assert float(best.peak) * (1 - 1e-12) <= result.peak[0] <= float(best.peak) * (1.036 if seed == 4 else 1 + 1e-12)


SAMPLE = np.random.default_rng(0).lognormal(5, 1, (23, 32)).round()
SAMPLE_CLUSTER = Cluster(gpus=8, nodes=2, slots_per_gpu=5)
PLAN_A_FILE = """
import sys
import numpy as np
from equipoise import Cluster, plan
result = plan(np.load(sys.argv[1]), Cluster(gpus=8, nodes=2, slots_per_gpu=5), groups=4, effort="thorough")
sys.stdout.buffer.write(result.placement.phy2log.tobytes() + result.peak.tobytes() + result.bound.tobytes())
"""


def digest(result: Plan) -> str:
    """Return a few letters that differ for plans that differ in one bit."""
    arrays = result.placement.phy2log, result.peak, result.bound
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("effort", EFFORTS)
def test_any_number_of_workers_gives_the_same_plan(effort, groups):
    digests = {
        digest(plan(SAMPLE, SAMPLE_CLUSTER, groups=groups, effort=effort, workers=workers))
        for workers in (None, 1, 2, 8, 50)
    }
    assert len(digests) == 1


def test_any_process_gives_the_same_plan(tmp_path):
    np.save(tmp_path / "loads.npy", SAMPLE)
    command = [sys.executable, "-c", PLAN_A_FILE, str(tmp_path / "loads.npy")]
    written = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    expected = digest(plan(SAMPLE, SAMPLE_CLUSTER, groups=4, effort="thorough"))
    assert [hashlib.sha256(output).hexdigest() for output in written] == [expected] * 2


def test_threads_that_plan_at_once_do_not_disturb_each_other():
    tasks = [(SAMPLE * (1 + np.arange(32) % (1 + i % 3)), EFFORTS[i % 3]) for i in range(12)]
    alone = [digest(plan(loads, SAMPLE_CLUSTER, effort=effort)) for loads, effort in tasks]
    with ThreadPoolExecutor(6) as threads:
        together = threads.map(lambda task: digest(plan(task[0], SAMPLE_CLUSTER, effort=task[1], workers=2)), tasks)
        assert list(together) == alone


def test_progress_counts_up_to_all_layers():
    calls = []
    plan(SAMPLE, SAMPLE_CLUSTER, workers=1, progress=lambda *call: calls.append(call))
    done = [finished for finished, _ in calls]
    assert {layers for _, layers in calls} == {23}
    assert done == sorted(set(done))
    assert len(done) > 1
    assert done[-1] == 23


def test_progress_is_told_of_all_layers_by_several_workers():
    calls = []
    plan(SAMPLE, SAMPLE_CLUSTER, workers=4, progress=lambda *call: calls.append(call))
    assert max(calls) == (23, 23)


PAST = np.random.default_rng(1).lognormal(5, 1, (6, 3, 32)).round()
RECORDED_GROUPS = {"none": {}, "strict": {"groups": 4}}


@pytest.mark.parametrize("asked", RECORDED_GROUPS.values(), ids=RECORDED_GROUPS)
@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_recorded_windows_are_planned_for_as_they_are_forecast(method, asked):
    expected = forecast(PAST, SAMPLE_CLUSTER, method, **asked)
    found = plan(PAST, SAMPLE_CLUSTER, forecast=method, **asked)
    assert digest(found) == digest(plan(expected.scenarios, SAMPLE_CLUSTER, **asked))
    assert (found.forecast.methods, list(found.forecast.tested)) == (expected.methods, list(expected.tested))
    assert all(np.array_equal(par, expected.tested[name]) for name, par in found.forecast.tested.items())
    assert found.scenarios is found.forecast.scenarios


def test_what_is_recorded_is_forecast_by_backtest_unless_something_else_is_asked_for():
    found, again = plan(PAST, SAMPLE_CLUSTER), plan(Loads(PAST), SAMPLE_CLUSTER, forecast="auto")
    assert digest(found) == digest(again)
    assert list(found.forecast.tested) == list(METHODS)


@pytest.mark.parametrize("method", ["auto", "last"])
def test_scenarios_are_planned_for_as_they_are(method):
    scenarios = Scenarios(PAST, np.arange(1, 7))
    found = plan(scenarios, SAMPLE_CLUSTER, forecast=method)
    assert (found.scenarios, found.forecast.tested) == (scenarios, {})
    assert found.forecast.used() == {"as given": 3}
    assert digest(found) == digest(plan(scenarios, SAMPLE_CLUSTER))


def test_a_single_window_is_planned_for_as_it_is():
    found = plan(SAMPLE, SAMPLE_CLUSTER)
    assert digest(found) == digest(plan(Scenarios(SAMPLE), SAMPLE_CLUSTER))
    assert (found.scenarios.counts.tolist(), found.forecast.tested) == ([SAMPLE.tolist()], {})


@settings(max_examples=60, deadline=None)
@given(
    problem=problems(),
    windows=st.integers(2, 5),
    spread=st.sampled_from([0.0, 0.5, 2.0]),
    method=st.sampled_from(["auto", *METHODS]),
    effort=st.sampled_from(EFFORTS),
)
def test_every_plan_of_what_was_recorded_is_valid_and_says_the_truth(problem, windows, spread, method, effort):
    loads, cluster, groups = problem
    rng = np.random.default_rng(windows)
    past = loads * rng.lognormal(0, spread, (windows, *loads.shape)) * (rng.random((windows, len(loads), 1)) > 0.1)
    assume(past.any())
    result = plan(past, cluster, groups=groups, forecast=method, effort=effort)
    result.placement.validate()
    if groups > 1:
        assert_groups_are_bound(result.placement, groups)
    np.testing.assert_allclose(result.peak, result.scenarios.peak(result.placement), rtol=1e-12)
    np.testing.assert_allclose(result.mean, result.scenarios.mean.sum(axis=1) / cluster.gpus, rtol=1e-12)
    assert (result.bound <= result.peak * (1 + 1e-9)).all()
    assert (result.bound >= result.mean * (1 - 1e-9)).all()


def test_any_number_of_workers_plans_the_same_for_what_was_recorded():
    plans = [plan(PAST, SAMPLE_CLUSTER, groups=4, workers=workers) for workers in (None, 1, 3)]
    assert len({digest(one) for one in plans}) == len({one.forecast.methods for one in plans}) == 1


def test_progress_counts_the_plans_of_the_backtest_and_then_the_layers():
    calls = []
    plan(PAST, SAMPLE_CLUSTER, workers=1, progress=lambda *call: calls.append(call))
    plans = 3 * len(METHODS)  # at three cuts
    tested = calls.index((plans, plans)) + 1
    assert {of for _, of in calls[:tested]} == {plans}
    assert {layers for _, layers in calls[tested:]} == {3}
    assert calls == sorted(calls[:tested]) + sorted(calls[tested:])
    assert calls[-1] == (3, 3)


@pytest.mark.parametrize("loads", [Scenarios(PAST), PAST[0]], ids=["scenarios", "one window"])
def test_where_nothing_is_tested_progress_counts_the_layers_alone(loads):
    calls = []
    plan(loads, SAMPLE_CLUSTER, workers=1, progress=lambda *call: calls.append(call))
    assert {layers for _, layers in calls} == {3}
    assert calls == sorted(calls)
    assert calls[-1] == (3, 3)


@pytest.mark.parametrize("cluster", [SAMPLE_CLUSTER, Cluster(gpus=8, nodes=2, slots_per_gpu=6, dead=[3])], ids=str)
def test_moves_are_a_share_of_the_live_slots(cluster):
    current = plan(SAMPLE, SAMPLE_CLUSTER).placement
    found = plan(SAMPLE[::-1], cluster, current=current, max_moves=0.25)
    assert found.moved_share == found.moves.sum() / (23 * len(cluster.live) * cluster.slots_per_gpu) > 0
    assert plan(SAMPLE, SAMPLE_CLUSTER, current=current, max_moves=0).moved_share == 0


WARM_UP = """
import json, sys
import numpy as np
from equipoise import Cluster, plan, warm_up
from equipoise.solver.afresh import plan_layers
from equipoise.solver.bounding import bound_layers
from equipoise.solver.replanning import replan_layers

def ready():
    return [len(loop.signatures) for loop in (plan_layers, bound_layers, replan_layers)]

cluster, past = Cluster(gpus=4, nodes=2, slots_per_gpu=3), np.random.default_rng(0).lognormal(3, 1, (4, 2, 8))
replanning, windows = json.loads(sys.argv[1])
warm_up(replanning, windows)
warm = ready()
live = plan(past[:windows], cluster, groups=4, effort="thorough").placement
if replanning:
    plan(past[:windows], cluster, groups=4, current=live)
    plan(past[:windows], cluster, groups=4, off_node=0.1)
    plan(past[:windows], Cluster(gpus=4, nodes=2, slots_per_gpu=3, dead=[1]))
print(json.dumps([warm, ready()]))
"""


@pytest.mark.parametrize("replanning", [True, False])
@pytest.mark.parametrize("windows", [1, 4])
def test_after_warming_up_no_plan_waits_for_a_loop(replanning, windows):
    command = [sys.executable, "-c", WARM_UP, json.dumps([replanning, windows])]
    warm, after = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert warm == after
    assert warm[0] > 0
    assert (warm[2] > 0) == (replanning or windows > 1)


@pytest.mark.parametrize("interrupted", ["the calling thread", "a helping thread"])
def test_an_interrupt_in_any_thread_ends_the_call(interrupted):
    caller, came = threading.current_thread(), threading.Event()
    calls = []

    def progress(done, layers):
        calls.append(done)
        if (threading.current_thread() is caller) == (interrupted == "the calling thread"):
            came.set()
            raise KeyboardInterrupt
        came.wait(timeout=30)

    with pytest.raises(KeyboardInterrupt):
        plan(np.ones((400, 8)), Cluster(gpus=4, slots_per_gpu=3), workers=2, progress=progress)
    assert sum(calls[-1:]) < 400


@pytest.mark.parametrize(
    ("loads", "cluster", "settings", "message"),
    [
        ([[1, np.nan]], Cluster(2), {}, "layer 0, expert 1 is nan; expected a finite number of at least 0"),
        ([[1, 2], [np.inf, 2]], Cluster(2), {}, "layer 1, expert 0 is inf; expected a finite number"),
        ([[[1, 2]], [[1, -3]]], Cluster(2), {}, "window 1, layer 0, expert 1 is -3.0; expected .* at least 0"),
        ([[[[1, 2]]]], Cluster(2), {}, r"shape \[1, 1, 1, 2\]; expected \[experts\], \[layers, experts\] or"),
        ([[]], Cluster(2), {}, "expected at least one of each axis"),
        ([1e308] * 4, Cluster(4), {}, "more than float64 can hold .*; scale them down"),
        ([1] * 9, Cluster(4, slots_per_gpu=2), {}, r"8 slots \(4 GPUs with 2 each\) do not hold 9 .*at least 3 slots"),
        ([1] * 8, Cluster(8), {"groups": 3}, "8 experts do not divide into 3 groups; use 2 or 4 groups"),
        ([1] * 8, Cluster(8), {"groups": 0}, "groups is 0; expected a whole number of at least 1"),
        ([1] * 8, Cluster(8, nodes=4), {"groups": 2}, "2 groups do not divide over 4 nodes; use 2 nodes, or groups=1"),
        ([1] * 8, Cluster(8), {"effort": "most"}, "effort is 'most'; expected 'fast', 'default', 'thorough'"),
        ([1] * 8, Cluster(8), {"workers": 0}, "workers is 0; expected a whole number of at least 1"),
        ([1] * 8, Cluster(8), {"workers": 1.5}, "workers is 1.5; expected a whole number"),
        ([1] * 8, Cluster(8), {"groups": True}, "groups is True; expected a whole number"),
        ([1] * 8, Cluster(8), {"groups": 2.0}, "groups is 2.0; expected a whole number"),
        ([1] * 8, Cluster(8), {"effort": ["fast"]}, r"effort is \['fast'\]; expected"),
        ([1] * 8, Cluster(8), {"forecast": "tomorrow"}, "forecast is 'tomorrow'; expected 'auto', 'last', 'sum', "),
        (Scenarios([1] * 8), Cluster(8), {"forecast": None}, "forecast is None; expected 'auto', 'last', 'sum', "),
    ],
)
def test_bad_input_is_refused_by_name(loads, cluster, settings, message):
    with pytest.raises(InputError, match=message):
        plan(loads, cluster, **settings)


RECORDED = [(case, "default") for case in CASES] + [(case, "thorough") for case in CASES if case.target.thorough_par]


@pytest.mark.parametrize(("case", "effort"), RECORDED, ids=str)
def test_recorded_loads_reach_their_targets(case, effort, real_loads):
    result = plan(counts_of(case, real_loads), case.cluster, groups=case.groups, effort=effort)
    assert not result.placement.duplicates.any()
    par, bound = result.par.mean(), (result.bound / result.mean).mean()
    assert bound <= par
    limit = case.target.par if effort == "default" else case.target.thorough_par
    assert par <= (limit or np.inf) + 5e-7  # the targets have six decimals at most
    assert par <= bound * (case.target.over_bound or np.inf)
