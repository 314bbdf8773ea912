from __future__ import annotations

import hashlib
from typing import get_args

import numpy as np
import pytest

from equipoise import InputError
from equipoise.synthetic.traces import Regime, synthetic_trace

REGIMES = get_args(Regime)
SEEDS = range(4)
every_regime = pytest.mark.parametrize("regime", REGIMES)
every_seed = pytest.mark.parametrize("seed", SEEDS)


def dispersion(counts):
    """Variance over windows / mean: 1 where nothing but the Poisson draw varies."""
    return np.mean(counts.var(axis=0, ddof=1) / counts.mean(axis=0))


def memory(counts):
    """Correlation of an expert's deviation from its mean with that of the window before."""
    deviation = counts - counts.mean(axis=0)
    return (deviation[1:] * deviation[:-1]).sum() / (deviation**2).sum()


def common(counts):
    """Share of the variance, over all experts of all layers, that three components explain."""
    deviation = (counts - counts.mean(axis=0)).reshape(len(counts), -1)
    variance = np.linalg.svd(deviation, compute_uv=False) ** 2
    return variance[:3].sum() / variance.sum()


def correlation(before, after):
    """Median over the layers of the correlation of two loads of the experts."""
    return np.median([np.corrcoef(*layer)[0, 1] for layer in zip(before, after, strict=True)])


@every_regime
@every_seed
def test_counts_are_whole_about_as_many_as_asked_for_and_skewed_like_real_ones(regime, seed):
    trace = synthetic_trace(regime, seed=seed)
    counts = trace.counts
    assert counts.shape == (100, 8, 256)
    assert trace.labels[42] == f"synthetic {regime} 42"
    np.testing.assert_array_equal(counts, np.rint(counts))
    np.testing.assert_allclose(counts.sum(axis=2), 100_000, rtol=0.03)
    assert 3 < np.median(counts.max(axis=2) / counts.mean(axis=2)) < 8


@every_regime
def test_every_layer_has_its_own_distribution(regime):
    total = synthetic_trace(regime).counts.sum(axis=0)
    others = np.corrcoef(total)[~np.eye(8, dtype=bool)]
    assert np.abs(others).max() < 0.4


@every_seed
def test_steady_windows_differ_by_chance_only(seed):
    counts = synthetic_trace("steady", seed=seed).counts
    assert dispersion(counts) == pytest.approx(1, abs=0.05)
    assert abs(memory(counts)) < 0.1
    assert correlation(counts[0], counts[-1]) > 0.97


@every_seed
def test_drift_is_slow_or_fast(seed):
    slow, fast = (synthetic_trace(regime, windows=400, seed=seed).counts for regime in ("slow", "fast"))
    assert min(dispersion(slow), dispersion(fast)) > 4
    assert 0.3 < memory(fast) < 0.7 < memory(slow)


@every_seed
def test_experts_drift_together_and_make_noise_alone(seed):
    slow, fast, noise = (synthetic_trace(regime, seed=seed).counts for regime in ("slow", "fast", "noise"))
    assert common(noise) < 0.3
    assert min(common(slow), common(fast)) > 0.7


@every_seed
def test_noise_has_no_memory_but_means(seed):
    counts = synthetic_trace("noise", seed=seed).counts
    assert dispersion(counts) > 10
    assert abs(memory(counts)) < 0.1
    assert 0.25 < correlation(counts[0], counts[1]) < 0.65
    assert correlation(counts[:50].sum(axis=0), counts[50:].sum(axis=0)) > 0.9


@every_seed
@pytest.mark.parametrize("windows", [100, 25])
def test_a_change_is_a_jump_in_the_middle_between_steady_halves(seed, windows):
    counts = synthetic_trace("change", windows=windows, seed=seed).counts
    middle = windows // 2
    before, after = counts[:middle], counts[middle:]
    assert dispersion(before) == pytest.approx(1, abs=0.1)
    assert dispersion(after) == pytest.approx(1, abs=0.1)
    assert correlation(before[-1], after[0]) < 0.7


@pytest.mark.parametrize(
    ("regime", "digest"),
    [
        ("steady", "ba09ff70734c9bdc"),
        ("slow", "a3ef1a18aeb19528"),
        ("fast", "87d2b4ed391255c4"),
        ("noise", "d2f205391e31c492"),
        ("change", "a25dcd1ae0ae6750"),
    ],
)
def test_a_seed_gives_the_same_counts_everywhere(regime, digest):
    trace = synthetic_trace(regime, windows=6, layers=3, experts=16, selections=5000)
    assert hashlib.sha256(trace.counts.astype("<i8").tobytes()).hexdigest()[:16] == digest


@every_regime
def test_another_seed_gives_other_counts(regime):
    first, second = (synthetic_trace(regime, windows=2, seed=seed).counts for seed in (0, 1))
    assert not np.array_equal(first, second)


@every_regime
def test_the_smallest_trace_is_one(regime):
    assert synthetic_trace(regime, windows=1, layers=1, experts=1, selections=1).counts.shape == (1, 1, 1)


@every_regime
def test_few_selections_are_not_rounded_away(regime):
    assert synthetic_trace(regime, selections=100).counts.sum() == pytest.approx(100 * 100 * 8, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"regime": "calm"}, "regime is 'calm'; expected 'steady', 'slow', 'fast', 'noise', 'change'"),
        ({"windows": 0}, "windows is 0; expected a whole number of at least 1"),
        ({"layers": 2.5}, "layers is 2.5; expected a whole number of at least 1"),
        ({"experts": True}, "experts is True; expected a whole number of at least 1"),
        (
            {"windows": 10**6},
            "1000000 windows x 8 layers x 256 experts are 2048000000 counts; expected at most 100000000",
        ),
        ({"selections": 0}, "selections is 0; expected a whole number from 1 to 1000000000000"),
        ({"selections": 1e5}, "selections is 100000.0; expected a whole number from 1 to 1000000000000"),
        ({"seed": -1}, "seed is -1; expected a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed is 4294967296; expected a whole number from 0 to 4294967295"),
    ],
)
def test_bad_input_is_refused_by_name(arguments, message):
    with pytest.raises(InputError, match=f"^{message}"):
        synthetic_trace(**{"regime": "steady", **arguments})
