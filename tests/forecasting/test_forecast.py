from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, Scenarios, plan
from equipoise.forecasting.factors import follow_factors
from equipoise.forecasting.forecast import METHODS, forecast
from equipoise.planning.forecast import Forecast

CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=5)
LAYERS, EXPERTS = 3, 16


def halving(windows, every):
    return np.array([0.5 ** (age / every) for age in reversed(range(windows))])


def expected_of(method, past):
    """Return the windows of a method, and how well each does, in plain NumPy; past: ``[windows, layers, experts]``."""
    even = past * (past.sum(axis=2).mean(axis=0) / past.sum(axis=2))[:, :, None]
    windows = len(past)
    return {
        "last": lambda: ([past[-1]], [1]),
        "sum": lambda: ([past.sum(axis=0)], [1]),
        "average-1": lambda: ([np.average(even, axis=0, weights=halving(windows, 1))], [1]),
        "average-4": lambda: ([np.average(even, axis=0, weights=halving(windows, 4))], [1]),
        "deviation": lambda: ([even.mean(axis=0) + 0.67 * even.std(axis=0)], [1]),
        "windows": lambda: (even, np.ones(windows)),
        "recent": lambda: (even, halving(windows, 4)),
        "factors": lambda: (follow_factors(Loads(past)).counts, np.ones(windows - 1 if windows > 2 else windows)),
    }[method]()


@pytest.mark.parametrize("method", METHODS)
@given(windows=st.integers(1, 9), seed=st.integers(0, 999))
def test_every_method_is_what_it_says(method, windows, seed):
    past = np.random.default_rng(seed).lognormal(3, 1, (windows, LAYERS, EXPERTS))
    found = forecast(past, CLUSTER, method)
    counts, weights = expected_of(method, past)
    np.testing.assert_allclose(found.scenarios.counts, counts, rtol=1e-9)
    np.testing.assert_allclose(found.scenarios.weights, np.tile(weights / np.sum(weights), (LAYERS, 1)).T, rtol=1e-9)
    assert (found.methods, found.tested, found.used()) == ((method,) * LAYERS, {}, {method: LAYERS})


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_layers_that_were_idle_can_be_planned_for(method):
    past = np.random.default_rng(0).integers(1, 99, (6, LAYERS, EXPERTS))
    past[:, 0] = 0
    past[[0, 5], 1] = 0
    plan(forecast(past, CLUSTER, method).scenarios, CLUSTER).placement.validate()


def kinds_that_follow(rng, order):
    """Windows of one layer whose traffic is as in the order, each kind with other experts hot."""
    kinds = rng.lognormal(0, 1, (max(order) + 1, EXPERTS))
    return [1000 * kinds[kind] / kinds[kind].sum() * rng.uniform(0.99, 1.01, EXPERTS) for kind in order]


def hot_together(rng, windows):
    """Windows of one layer in which four experts are hot, or four others, as it happens."""
    hot, load = rng.permutation(EXPERTS)[:8].reshape(2, 4), np.ones((windows, EXPERTS))
    for window in range(windows):
        load[window, hot[rng.integers(2)]] = 10
    return load * rng.uniform(0.9, 1.1, EXPERTS) * rng.uniform(0.99, 1.01, load.shape)


def around_a_mean(rng, windows):
    """Windows of one layer in which every load varies by itself around its own mean."""
    return rng.lognormal(0, 0.7, EXPERTS) * rng.lognormal(0, 0.3, (windows, EXPERTS))


def stack(*layers):
    return np.stack(layers, axis=1)


ONE_WINDOW = {"last", "sum", "average-1", "average-4", "deviation"}
CHANGED = [*range(9)] + [9] * 5  # every time another kind, until the last one stays


def test_where_traffic_has_changed_for_good_the_last_window_is_planned_for():
    rng = np.random.default_rng(0)
    found = forecast(stack(*(kinds_that_follow(rng, CHANGED) for _ in range(6))), CLUSTER)
    assert found.methods == ("last",) * 6
    par = {method: par.mean() for method, par in found.tested.items()}
    assert par["last"] < par["average-1"] < par["sum"]


def test_where_experts_run_hot_together_windows_are_planned_for_one_by_one():
    rng = np.random.default_rng(0)
    found = forecast(stack(*(hot_together(rng, 24) for _ in range(6))), CLUSTER)
    assert not set(found.methods) & ONE_WINDOW
    best = min(found.tested[method].mean() for method in ONE_WINDOW)
    assert found.tested["windows"].mean() < best


def test_every_layer_has_a_method_of_its_own():
    rng = np.random.default_rng(1)
    changed = [kinds_that_follow(rng, CHANGED) for _ in range(4)]
    varying = [around_a_mean(rng, len(CHANGED)) for _ in range(4)]
    found = forecast(stack(*changed, *varying), CLUSTER)
    assert found.methods[:4] == ("last",) * 4
    assert found.methods[4:] != ("last",) * 4
    chosen = [found.tested[method][:, layer].mean() for layer, method in enumerate(found.methods)]
    assert np.mean(chosen) < min(par.mean() for par in found.tested.values())


def test_scenarios_of_several_methods_keep_the_weights_of_each(monkeypatch):
    methods = ("recent", "last", "factors")
    monkeypatch.setattr("equipoise.forecasting.forecast.choose", lambda tested, first, layers: methods)
    past = Loads(np.random.default_rng(0).lognormal(3, 1, (6, LAYERS, EXPERTS)))
    found = forecast(past, CLUSTER).scenarios
    for layer, (method, windows) in enumerate(zip(methods, (6, 1, 5), strict=True)):
        own = METHODS[method](past)
        np.testing.assert_allclose(found.counts[:windows, layer], own.counts[:, layer], rtol=1e-12)
        np.testing.assert_allclose(found.weights[:windows, layer], own.weights[:, layer], rtol=1e-12)
        assert not found.weights[windows:, layer].any()


def test_the_methods_used_are_counted_the_most_used_first():
    found = Forecast(Scenarios(np.ones((5, 4))), ("sum", "last", "windows", "last", "windows", "windows"), {})
    assert list(found.used().items()) == [("windows", 3), ("last", 2), ("sum", 1)]


@pytest.mark.parametrize(("windows", "ahead"), [(1, 1), (2, 1), (3, 1), (2, 2), (5, 9)])
def test_too_short_a_past_chooses_nothing(windows, ahead):
    past = np.random.default_rng(0).integers(1, 99, (windows, LAYERS, EXPERTS))
    found = forecast(past, CLUSTER, ahead=ahead)
    assert found.methods == ("recent",) * LAYERS
    np.testing.assert_allclose(found.scenarios.counts, Scenarios(past).counts, rtol=1e-12)


@pytest.mark.parametrize("ahead", [1, 2])
def test_all_methods_are_tested_at_every_cut(ahead):
    told = []
    past = np.random.default_rng(0).integers(1, 99, (8, LAYERS, EXPERTS))
    found = forecast(past, CLUSTER, groups=4, ahead=ahead, progress=lambda *numbers: told.append(numbers))
    assert list(found.tested) == list(METHODS)
    cuts = 4 if ahead == 1 else 3
    assert {par.shape for par in found.tested.values()} == {(cuts, LAYERS)}
    assert min(par.min() for par in found.tested.values()) >= 1
    assert {of for _, of in told} == {8 * cuts}
    assert told[-1] == (8 * cuts, 8 * cuts)


FORECAST = """
import sys
import numpy as np
from equipoise import Cluster
from equipoise import forecast
found = forecast(np.load(sys.argv[1]), Cluster(gpus=4, nodes=2, slots_per_gpu=5), workers=int(sys.argv[2]))
sys.stdout.buffer.write(found.scenarios.counts.tobytes() + found.scenarios.weights.tobytes())
sys.stdout.write(" ".join(found.methods))
"""


def test_any_process_with_any_number_of_workers_expects_the_same(tmp_path):
    rng = np.random.default_rng(2)
    past = stack(kinds_that_follow(rng, CHANGED), hot_together(rng, 14), rng.lognormal(0, 1, (14, EXPERTS)))
    np.save(tmp_path / "past.npy", past)
    found = forecast(past, CLUSTER)
    expected = found.scenarios.counts.tobytes() + found.scenarios.weights.tobytes() + " ".join(found.methods).encode()
    for workers in "1", "3":
        command = [sys.executable, "-c", FORECAST, str(tmp_path / "past.npy"), workers]
        written = subprocess.run(command, capture_output=True, check=True).stdout
        assert hashlib.sha256(written).digest() == hashlib.sha256(expected).digest()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "tomorrow"}, "forecast is 'tomorrow'; expected 'auto', 'last', 'sum', .*'windows', 'recent', 'fac"),
        ({"method": None}, "forecast is None; expected 'auto'"),
        ({"ahead": 0}, "ahead is 0; expected a whole number of at least 1"),
        ({"ahead": 1.5}, "ahead is 1.5; expected a whole number"),
        ({"groups": 3}, "16 experts do not divide into 3 groups"),
        ({"cluster": Cluster(gpus=4, slots_per_gpu=3)}, r"12 slots \(4 GPUs with 3 each\) do not hold 16 experts"),
        ({"loads": [[[1, -1]]]}, "the load of window 0, layer 0, expert 1 is -1.0"),
    ],
)
def test_bad_input_is_refused_by_name(settings, message):
    with pytest.raises(InputError, match=message):
        forecast(**({"loads": np.ones((4, LAYERS, EXPERTS)), "cluster": CLUSTER} | settings))
