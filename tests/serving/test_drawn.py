"""Batches that are drawn: the picks of every GPU, and what each makes of its own."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import Cluster, InputError, Loads, Placement, balance, plan, sample_loads
from equipoise.serving.drawn import own_picks, served
from equipoise.serving.slot_shares import RULES

LOADS = Loads(sample_loads().counts[-2:, :4])
PLANNED = plan(sample_loads().counts[:2, :4], Cluster(gpus=32, nodes=4, slots_per_gpu=9)).placement


def test_picks_are_drawn_by_the_loads_and_always_the_same():
    drawn = np.array([list(own_picks(PLANNED, LOADS, 512, None, seed)) for seed in range(4)])
    assert drawn.shape == (4, 2, 4, 32, 256)
    assert np.array_equal(drawn[1], np.array(list(own_picks(PLANNED, LOADS, 512, None, 1))))
    assert drawn.sum(axis=4).mean() == pytest.approx(512, rel=0.01)
    share = LOADS.counts / LOADS.counts.sum(axis=2, keepdims=True)
    assert drawn.sum(axis=(0, 3)) / (4 * 32 * 512) == pytest.approx(share, abs=5 * np.sqrt(share.max() / 65536))


def test_sources_say_whose_picks_they_are():
    sources = np.zeros((32, 256))
    sources[3] = 1
    drawn = next(own_picks(PLANNED, LOADS, 512, sources, 0))
    assert drawn[:, np.arange(32) != 3].sum() == 0
    assert drawn[:, 3].sum(axis=1).mean() == pytest.approx(32 * 512, rel=0.02)


def test_each_gpu_fills_with_its_own_and_all_picks_are_the_best_there_is():
    own = balance(PLANNED, LOADS, routing="filled", picks=8192).par.mean()
    even = balance(PLANNED, LOADS, picks=8192).par.mean()
    every = balance(PLANNED, LOADS, routing="filled").par.mean()
    assert every < own < even
    few = balance(PLANNED, LOADS, routing="filled", picks=64).par.mean()
    assert own < few < balance(PLANNED, LOADS, picks=64).par.mean()


def test_the_picks_of_one_gpu_are_never_less_even_than_even_shares():
    drawn = next(own_picks(PLANNED, LOADS, 512, None, 0))
    for gpu in range(0, 32, 5):
        alone = np.zeros_like(drawn)
        alone[:, gpu] = drawn[:, gpu]
        peaks = [
            served(PLANNED, alone, rule, None, 0).reshape(4, 32, 9).sum(axis=2).max(axis=1)
            for rule in ("filled", "even")
        ]
        assert (peaks[0] <= peaks[1] * (1 + 1e-6)).all()


@pytest.mark.parametrize("routing", [*RULES, "filled"])
def test_every_pick_is_served_once(routing):
    drawn = next(own_picks(PLANNED, LOADS, 300, None, 0))
    slots = served(PLANNED, drawn, routing, 64, 0)
    for layer in range(4):
        by_expert = np.bincount(PLANNED.phy2log[layer], slots[layer], minlength=256)
        np.testing.assert_allclose(by_expert, drawn[layer].sum(axis=0), atol=1e-6)


def test_an_expert_is_split_if_all_gpus_would_bring_more_than_the_floor():
    placement = Placement([[0, 1, 0, 2]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    own = np.array([[[40.0, 0, 0], [70.0, 0, 0]]])  # [layers, gpus, experts]
    assert served(placement, own, "filled", None, 100).tolist() == [[75, 0, 35, 0]]
    assert served(placement, own, "filled", None, 200).tolist() == [[110, 0, 0, 0]]
    assert served(placement, own, "filled", None, 0).tolist() == [[55, 0, 55, 0]]


def test_shares_of_ones_own_serve_what_is_drawn():
    placement = Placement([[0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    own = np.array([[[40.0, 10, 2], [20.0, 0, 4]]])
    assert served(placement, own, [[0.25, 1, 1, 0.75]], None, 0).tolist() == [[15, 10, 6, 45]]


def test_drawn_balances_are_means_over_the_draws():
    found = balance(PLANNED, LOADS, routing="filled", picks=256)
    assert found.gpu_load.shape == (4, 2, 4, 32)
    peak, mean = found.gpu_load.max(axis=3), found.gpu_load.mean(axis=3)
    np.testing.assert_allclose(found.par, (peak / mean).mean(axis=0))
    np.testing.assert_allclose(found.peak, peak.mean(axis=0))
    np.testing.assert_allclose(found.mean, mean.mean(axis=0))
    idle = balance(PLANNED, np.zeros((4, 256)), routing="filled", picks=256)
    assert (idle.par == 1).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"picks": 0}, "picks is 0; expected a whole number of at least 1"),
        ({"sources": np.ones((32, 256))}, "sources are for GPUs that know their own picks; expected picks too"),
        ({"picks": 8, "sources": np.ones(3)}, "sources have shape"),
        ({"picks": 8, "batch": 0}, "batch is 0; expected a whole number of at least 1"),
        ({"floor": -5}, "floor is -5; expected a finite number above 0"),
        ({"floor": float("nan")}, "floor is nan; expected a finite number above 0"),
        ({"picks": 8, "routing": "nearest"}, "routing is 'nearest'; expected 'even', "),
    ],
)
def test_what_cannot_be_filled_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        balance(PLANNED, LOADS, **{"routing": "filled"} | asked)
