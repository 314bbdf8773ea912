from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, Placement, balance
from equipoise.planning.scenarios import MOST_COMPARED, Scenarios

EXPERTS, LAYERS = 5, 3
CLUSTER = Cluster(gpus=3, slots_per_gpu=2)


@st.composite
def traffic(draw, most=8):
    """Loads ``[windows, layers, experts]``, some layers idle in some windows, and weights ``[windows, layers]``."""
    windows = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    counts = rng.integers(0, 100, (windows, LAYERS, EXPERTS)) * (rng.random((windows, LAYERS, 1)) > 0.2)
    weights = rng.choice([0.0, 0.5, 1.0, 3.0], (windows, LAYERS))
    weights[draw(st.integers(0, windows - 1))] = 1.0
    return counts, weights


def placement_for(seed: int) -> Placement:
    """Return a placement of all experts, one of them twice, that was planned for nothing."""
    slots = [np.random.default_rng([seed, layer]).permutation([*range(EXPERTS), layer]) for layer in range(LAYERS)]
    return Placement(slots, CLUSTER, EXPERTS)


@given(traffic())
def test_every_layer_has_one_total_in_all_windows_but_those_in_which_it_is_idle(traffic):
    counts, weights = traffic
    scaled, totals = Scenarios(counts, weights).counts, counts.sum(axis=2)
    for layer in range(LAYERS):
        seen = totals[:, layer] > 0
        assert not scaled[~seen, layer].any()
        usual = totals[seen, layer].mean() if seen.any() else 0
        shares = counts[seen, layer] / totals[seen, layer, None]
        np.testing.assert_allclose(scaled[seen, layer], usual * shares, rtol=1e-12)


@given(traffic())
def test_weights_add_up_to_1_and_idle_windows_have_none(traffic):
    counts, weights = traffic
    found = Scenarios(counts, weights).weights
    wanted = weights * (counts.sum(axis=2) > 0)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-12)
    served = wanted.any(axis=0)
    np.testing.assert_allclose(found[:, served], wanted[:, served] / wanted[:, served].sum(axis=0), rtol=1e-12)


def test_windows_weigh_the_same_if_nothing_is_said_and_the_same_in_all_layers_if_one_weight_is_said_of_each():
    counts = np.random.default_rng(0).integers(1, 100, (3, LAYERS, EXPERTS))
    assert Scenarios(counts).weights.tolist() == Scenarios(counts, [2, 2, 2]).weights.tolist() == [[1 / 3] * LAYERS] * 3
    assert Scenarios(counts, [1, 0, 3]).weights.tolist() == [[0.25] * LAYERS, [0] * LAYERS, [0.75] * LAYERS]


@given(loads=st.lists(st.floats(0, 1e300), min_size=EXPERTS, max_size=EXPERTS))
def test_a_single_window_is_left_as_it_is_bit_for_bit(loads):
    scenarios = Scenarios(loads)
    assert scenarios.counts.tolist() == [[loads]]
    assert scenarios.mean.tolist() == [loads]
    assert scenarios.deviation.tolist() == [[0] * EXPERTS]
    assert scenarios.weights.tolist() == [[1]]


@given(st.lists(traffic(most=3), min_size=1, max_size=3))
def test_side_by_side_every_layer_is_what_it_was_bit_for_bit(several):
    fewest = min(len(counts) for counts, _ in several)
    scenarios = [Scenarios(counts[:fewest]) for counts, _ in several]
    joined = Scenarios.side_by_side(scenarios)
    assert (joined.windows, joined.layers) == (fewest, LAYERS * len(several))
    for number, one in enumerate(scenarios):
        layers = slice(LAYERS * number, LAYERS * (number + 1))
        assert joined.counts[:, layers].tolist() == one.counts.tolist()
        assert joined.weights[:, layers].tolist() == one.weights.tolist()


@given(traffic())
def test_mean_and_deviation_are_those_of_numpy(traffic):
    scenarios = Scenarios(*traffic)
    for layer in range(LAYERS):
        counts, weights = scenarios.counts[:, layer], scenarios.weights[:, layer]
        mean = np.average(counts, axis=0, weights=weights)
        variance = np.average((counts - mean) ** 2, axis=0, weights=weights)
        np.testing.assert_allclose(scenarios.mean[layer], mean, rtol=1e-12)
        np.testing.assert_allclose(scenarios.deviation[layer], np.sqrt(variance), rtol=1e-9, atol=1e-12)


@given(traffic(), st.integers(0, 99))
def test_the_peak_is_the_mean_of_those_of_the_windows(traffic, seed):
    scenarios, placement = Scenarios(*traffic), placement_for(seed)
    expected = np.zeros(LAYERS)
    for counts, weights in zip(scenarios.counts, scenarios.weights, strict=True):
        expected += weights * balance(placement, counts).peak[0]
    np.testing.assert_allclose(scenarios.peak(placement), expected, rtol=1e-12)


@settings(deadline=None)
@given(traffic(most=MOST_COMPARED + 9), st.integers(1, 9), st.integers(0, 99))
def test_folding_keeps_weights_and_mean_and_never_raises_a_peak(traffic, most, seed):
    scenarios, placement = Scenarios(*traffic), placement_for(seed)
    folded = scenarios.folded(most)
    assert folded.windows <= most
    np.testing.assert_allclose(folded.weights.sum(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(folded.mean, scenarios.mean, rtol=1e-9)
    assert (folded.peak(placement) <= scenarios.peak(placement) * (1 + 1e-9)).all()


@pytest.mark.parametrize("most", [4, 5, 100])
def test_few_enough_windows_are_not_folded(most):
    scenarios = Scenarios(np.random.default_rng(0).integers(1, 9, (4, LAYERS, EXPERTS)))
    assert scenarios.folded(most) is scenarios


CHAT, CODE = [[8, 4, 2, 1, 1]] * LAYERS, [[1, 1, 2, 4, 8]] * LAYERS


@pytest.mark.parametrize("windows", [[CHAT, CODE] * 4, [CHAT] * 65 + [CODE] * 65], ids=["in turn", "one after another"])
def test_two_kinds_of_windows_fold_to_both(windows):
    folded = Scenarios(windows).folded(2)
    np.testing.assert_allclose(folded.counts, [CHAT, CODE], rtol=1e-12)
    np.testing.assert_allclose(folded.weights, [[0.5] * LAYERS] * 2, rtol=1e-12)


def test_equal_windows_fold_to_the_very_same():
    folded = Scenarios([CHAT, CODE] * 4).folded(2)
    assert folded.counts.tolist() == [CHAT, CODE]


@given(kinds=st.lists(st.integers(0, 4), min_size=6, max_size=30), seed=st.integers(0, 99))
def test_folded_windows_are_in_the_order_in_which_the_first_of_their_kind_came(kinds, seed):
    pattern = np.random.default_rng(seed).lognormal(0, 2, (5, LAYERS, EXPERTS))
    pattern /= pattern.sum(axis=2, keepdims=True)
    in_order = list(dict.fromkeys(kinds))
    folded = Scenarios(pattern[kinds]).folded(len(in_order))
    np.testing.assert_allclose(folded.counts, pattern[in_order], rtol=1e-9)
    np.testing.assert_allclose(folded.weights[:, 0], [kinds.count(kind) / len(kinds) for kind in in_order], rtol=1e-9)


def test_the_windows_that_are_most_alike_are_merged():
    counts = np.array([[9.0, 1], [1, 9], [8.8, 1.2], [5, 5]])[:, None]
    folded = Scenarios(counts).folded(3)
    np.testing.assert_allclose(folded.counts[:, 0], [[8.9, 1.1], [1, 9], [5, 5]], rtol=1e-12)


def test_loads_of_any_size_are_neither_too_large_nor_too_small_for_a_float():
    scenarios = Scenarios([[[1e-300, 3e-300]], [[3e300, 1e300]]])
    np.testing.assert_allclose(scenarios.counts, [[[5e299, 1.5e300]], [[1.5e300, 5e299]]])
    np.testing.assert_allclose(scenarios.deviation, [[5e299, 5e299]])
    np.testing.assert_allclose(scenarios.folded(1).counts, [[[1e300, 1e300]]])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"weights have shape \[2\]; expected \[windows\] or \[windows, layers\], \[3, 2\]"),
        ([[1, 1, 1]], r"weights have shape \[1, 3\]; expected"),
        (1.0, r"weights have shape \[\]; expected"),
        ([1, -1, 1], "weights must be finite numbers of at least 0, and not all 0 for any layer"),
        ([1, np.nan, 1], "weights must be finite numbers"),
        ([1, np.inf, 1], "weights must be finite numbers"),
        ([0, 0, 0], "not all 0 for any layer"),
        ([[1, 0], [1, 0], [1, 0]], "not all 0 for any layer"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        Scenarios(np.ones((3, 2, 4)), weights)


def test_loads_are_checked_as_everywhere():
    with pytest.raises(InputError, match=r"window 1, layer 0, expert 0 is -1\.0; expected a finite number"):
        Scenarios([[[1, 1]], [[-1, 1]]])
    counts = [[[1, 3]], [[2, 2]]]
    assert Scenarios(Loads(counts)).counts.tolist() == Scenarios(counts).counts.tolist()
