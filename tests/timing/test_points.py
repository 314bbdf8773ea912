"""What is measured: a spread of GPUs, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.timing.check import GPUS, random_placement
from equipoise.timing.points import MOST_TOKENS, as_table, points_to_fit

SLOTS = st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True)


@given(slots=SLOTS, fewer=st.integers(1, 40), more=st.integers(0, 40))
def test_fewer_points_are_the_first_of_more(slots, fewer, more):
    first, all_of_them = points_to_fit(slots, fewer), points_to_fit(slots, fewer + more)
    assert len(first) == fewer
    for gpu, same in zip(first, all_of_them, strict=False):
        np.testing.assert_array_equal(gpu, same)


@given(slots=SLOTS, points=st.integers(1, 60))
def test_every_gpu_has_its_slots_and_something_to_do(slots, points):
    for gpu in points_to_fit(slots, points):
        assert len(gpu) in slots
        assert gpu.min() >= 0
        assert gpu.sum() >= 1


def test_experts_are_few_and_many_and_tokens_few_and_many_even_and_uneven():
    gpus = points_to_fit([8, 10], 1600)
    active = np.array([np.count_nonzero(gpu) for gpu in gpus])
    mean = np.array([gpu[gpu > 0].mean() for gpu in gpus])
    spread = np.array([gpu[gpu > 0].std() for gpu in gpus]) / mean
    assert {len(gpu) for gpu in gpus} == {8, 10}
    assert set(active) == set(range(1, 11))
    assert (active == [len(gpu) for gpu in gpus]).mean() > 0.5
    assert mean.min() == 1
    assert 0.9 * MOST_TOKENS < mean.max() < 2 * MOST_TOKENS
    assert np.median(mean) == pytest.approx(MOST_TOKENS**0.5, rel=0.2)
    assert (spread == 0).mean() >= 0.25
    assert (spread[active > 4] > 0.5).mean() > 0.2


@given(slots=SLOTS)
def test_the_first_points_already_have_every_kind(slots):
    gpus = points_to_fit(slots, 8 * len(slots))
    assert [sum(len(gpu) == each for gpu in gpus) for each in slots] == [8] * len(slots)


@given(slots=SLOTS, points=st.integers(1, 20))
def test_a_table_keeps_the_tokens_and_slots_that_are_not_there_have_none(slots, points):
    gpus = points_to_fit(slots, points)
    table = as_table(gpus)
    assert table.shape == (points, max(len(gpu) for gpu in gpus))
    for row, gpu in zip(table, gpus, strict=True):
        np.testing.assert_array_equal(row[: len(gpu)], gpu)
        assert not row[len(gpu) :].any()


@given(slots=st.integers(1, 12), tokens=st.sampled_from([2, 100, 2048]), seed=st.integers(0, 99))
def test_a_random_placement_gives_every_gpu_something_and_the_asked_mean(slots, tokens, seed):
    placed = random_placement(slots, tokens, np.random.default_rng(seed))
    assert placed.shape == (GPUS, slots)
    assert placed.any(axis=1).all()
    assert placed.mean() == pytest.approx(tokens, rel=0.9)
    if tokens == 2048:
        assert placed.mean() == pytest.approx(tokens, rel=0.05)
        assert slots == 1 or len(np.unique(placed)) > slots
