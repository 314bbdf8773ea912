from __future__ import annotations

import numpy as np

from equipoise import read_loads, sample_loads


def skew(counts):
    return counts.max(axis=-1) / counts.mean(axis=-1)


def test_the_sample_has_the_shape_and_skew_of_deepseek_v3():
    loads = sample_loads()
    assert loads.counts.shape == (16, 58, 256)
    assert all("synthetic" in label for label in loads.labels)
    np.testing.assert_array_equal(loads.counts, np.rint(loads.counts))
    np.testing.assert_allclose(loads.counts.sum(axis=2), 8e6, rtol=0.01)
    assert 5.5 < np.median(skew(loads.counts.sum(axis=0))) < 6.5


def test_a_seed_gives_the_same_counts_everywhere():
    counts = sample_loads().counts
    np.testing.assert_array_equal(counts, sample_loads(0).counts)
    assert counts[0, 0, :4].tolist() == [48476, 27981, 16953, 76290]
    assert not np.array_equal(counts, sample_loads(1).counts)


def test_windows_drift_rather_than_jump():
    counts = sample_loads().counts

    def correlation(a, b):
        return np.median([np.corrcoef(counts[a, layer], counts[b, layer])[0, 1] for layer in range(58)])

    near = np.mean([correlation(window, window + 1) for window in range(15)])
    far = np.mean([correlation(window, window + 8) for window in range(8)])
    assert 0.5 < far < near < 0.99


def test_the_sample_resembles_recorded_loads(real_loads):
    recorded = read_loads(real_loads / "deepseek_v3_sglang_ep.npz").sum().counts[0]
    synthetic = sample_loads().sum().counts[0]
    hottest_first = [np.sort(counts / counts.mean(axis=1, keepdims=True))[:, ::-1] for counts in (recorded, synthetic)]
    ranks = [0, 4, 16, 64, 128]
    expected, found = (np.median(curve, axis=0)[ranks] for curve in hottest_first)
    np.testing.assert_allclose(found, expected, rtol=0.1)
