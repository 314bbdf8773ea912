from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from equipoise import Loads, Scenarios
from equipoise.forecasting.factors import MOST_FACTORS, follow_factors


def slow_scenarios(counts):
    """Follow the principal components of windows ``[windows, experts]`` one by one, step by step."""
    mean = counts.mean(axis=0)
    around = counts - mean
    _, directions = np.linalg.eigh(around.T @ around)
    scenarios = np.tile(mean, (len(counts) - 1, 1))
    for direction in directions.T[::-1][:MOST_FACTORS]:
        share = around @ direction
        if not np.allclose(share, 0):
            pull = np.clip(sum(share[1:] * share[:-1]) / sum(share[:-1] ** 2), 0, 1)
            for step in range(len(share) - 1):
                driven = share[step + 1] - pull * share[step]
                scenarios[step] += (pull * share[-1] + driven) * direction
    return np.maximum(scenarios, 0)


def of_factors_of_different_size(windows, experts, seed):
    """Windows of one layer that are their mean and up to five factors, each half as large as the one before."""
    random = np.random.default_rng(seed)
    shares, _ = np.linalg.qr(random.standard_normal((windows, min(windows, 5))))
    factors, _ = np.linalg.qr(random.standard_normal((experts, min(windows, 5))))
    counts = 4 + shares * 0.5 ** np.arange(shares.shape[1]) @ factors.T
    return counts / counts.sum(axis=1, keepdims=True)


def size_ratio(counts):
    """Return how near in size two factors are that come one after the other, among those that are followed."""
    around = counts - counts.mean(axis=0)
    sizes = np.linalg.eigvalsh(around @ around.T)[::-1][: MOST_FACTORS + 1]
    return max(sizes[1:] / sizes[:-1])


# Scaling windows to equal totals brings sizes nearer to each other, and of two that are nearly equal either may be
# found first, or a mixture: 0.8 to the power of 60 rounds is what is left of one in the other.
@given(windows=st.integers(6, 12), experts=st.integers(6, 9), seed=st.integers(0, 999))
def test_every_step_of_the_past_is_taken_once_more_from_now(windows, experts, seed):
    past = np.stack([of_factors_of_different_size(windows, experts, seed + layer) for layer in range(2)], axis=1)
    assume(all(size_ratio(past[:, layer]) < 0.8 for layer in range(2)))
    found = follow_factors(Loads(past))
    expected = Scenarios(np.stack([slow_scenarios(past[:, layer]) for layer in range(2)], axis=1))
    np.testing.assert_allclose(found.counts, expected.counts, rtol=1e-4)
    assert found.weights.tolist() == [[1 / (windows - 1)] * 2] * (windows - 1)


CHAT, CODE = np.array([4.0, 3, 2, 1]), np.array([1.0, 2, 3, 4])


def mixed(shares):
    """Windows of one layer, a share of each from one kind of traffic and the rest from the other."""
    return np.array([share * CHAT + (1 - share) * CODE for share in shares])[:, None]


def share_of_chat(scenarios):
    """Return the share of each scenario, and check that it is a mixture of the two."""
    shares = (scenarios.counts[:, 0] - CODE) @ (CHAT - CODE) / ((CHAT - CODE) @ (CHAT - CODE))
    np.testing.assert_allclose(scenarios.counts, mixed(shares), atol=1e-9)
    return shares


def test_what_was_mixed_of_two_kinds_will_be():
    shares = np.random.default_rng(0).uniform(0.3, 0.7, 20)
    assert np.ptp(share_of_chat(follow_factors(Loads(mixed(shares))))) > 0.1


def test_a_share_that_lasts_is_where_it_was_last():
    shares = np.repeat([0.3, 0.7], 10)
    assert np.median(share_of_chat(follow_factors(Loads(mixed(shares))))) == pytest.approx(0.7, abs=0.05)


def test_a_share_that_does_not_last_is_back_at_its_mean():
    shares = [*[0.3, 0.7] * 10, 0.3]
    # It never stays: persistence would be below 0, and is taken for 0. Then every step leads where it led before.
    np.testing.assert_allclose(share_of_chat(follow_factors(Loads(mixed(shares)))), shares[1:], atol=1e-9)


def test_traffic_that_never_changes_will_not():
    found = follow_factors(Loads(mixed([0.4] * 6)))
    np.testing.assert_allclose(share_of_chat(found), 0.4)


def test_no_load_is_below_0():
    counts = follow_factors(Loads([[[9, 1, 0]], [[0, 1, 9]], [[9, 1, 0]], [[9, 0, 1]]])).counts
    assert counts.min() == 0 < counts.max()


@pytest.mark.parametrize("windows", [1, 2])
def test_two_windows_may_both_come_again_since_they_say_nothing_of_what_lasts(windows):
    past = Loads(mixed([0.2, 0.6][:windows]))
    found = follow_factors(past)
    assert found.counts.tolist() == Scenarios(past).counts.tolist()
    assert found.weights.tolist() == Scenarios(past).weights.tolist()


def test_idle_layers_stay_idle():
    past = np.concatenate([mixed([0.2, 0.6, 0.3]), np.zeros((3, 1, 4))], axis=1)
    assert not follow_factors(Loads(past)).counts[:, 1].any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("power", [-1000, -500, 500, 1000])
def test_loads_of_any_size_are_followed_alike(power):
    past = np.random.default_rng(0).lognormal(0, 1, (5, 2, 8))
    far = follow_factors(Loads(np.ldexp(past, power))).counts
    np.testing.assert_array_equal(far, np.ldexp(follow_factors(Loads(past)).counts, power))
