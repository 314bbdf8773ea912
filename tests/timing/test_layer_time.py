"""The time of a layer: expected for every GPU, and of the slowest by draws, beside a thousand draws written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Batch, Cluster, ExpertCost, InputError, Loads, Placement, layer_time, plan, sample_loads
from equipoise.serving.slot_shares import slot_shares
from tests.timing.test_poisson import slow_average

COST = ExpertCost(layer=67, expert=14.6, tiles={128: 16.8}, scatter=0.04, measured_to=8000)
SAMPLE = Loads(sample_loads().counts[:2, :3])
PLANNED = plan(SAMPLE, Cluster(gpus=32, nodes=4, slots_per_gpu=9)).placement


def slow_draws(placement, load, batch, rng, draws=1000):
    """Return the slowest GPU of every draw of one layer, ``[draws]``: token by token's expert, then its replica."""
    picks = batch.tokens * batch.top_k * placement.cluster.gpus
    by_expert = rng.poisson(picks * load / load.sum(), (draws, len(load)))
    slots = np.zeros((draws, placement.cluster.slots), int)
    for expert, replicas in enumerate(placement.log2phy[0]):
        held = replicas[replicas >= 0]
        slots[:, held] = rng.multinomial(by_expert[:, expert], np.full(len(held), 1 / len(held)))
    time = batch.cost.gpu_time(slots.reshape(draws, placement.cluster.gpus, -1))
    return (time * rng.normal(1, batch.cost.scatter, time.shape)).max(axis=1)


@pytest.mark.parametrize("tokens", [1, 16, 128, 1024, 4096])
def test_the_slowest_gpu_is_that_of_a_thousand_full_draws_within_one_percent(tokens):
    batch, rng = Batch(tokens, 8, COST), np.random.default_rng(7)
    found = layer_time(PLANNED, SAMPLE.counts[1], batch)
    for layer in range(SAMPLE.layers):
        placement = Placement(PLANNED.phy2log[[layer]], PLANNED.cluster, PLANNED.experts)
        drawn = slow_draws(placement, SAMPLE.counts[1, layer], batch, rng)
        assert found.slowest[0, layer] == pytest.approx(drawn.mean(), rel=0.01)
        assert found.error[0, layer] == pytest.approx(drawn.std() / 512**0.5, rel=0.35)


@given(load=st.lists(st.integers(0, 50), min_size=3, max_size=3), tokens=st.integers(1, 300), hashed=st.booleans())
def test_a_gpu_is_expected_to_take_what_its_slots_do(load, tokens, hashed):
    placement = Placement([[0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    routing = "vllm" if hashed else "even"
    found = layer_time(placement, [load], Batch(tokens, 2, COST), routing=routing)
    if not any(load):
        assert not found.busy.any()
        assert (found.mean(), found.gpu.any()) == ((0, 0), False)
        return
    share = slot_shares(placement, routing, batch=tokens)[0] * np.array(load)[placement.phy2log[0]] / sum(load)
    slots = [slow_average(COST, mean) for mean in 4 * tokens * share]
    assert found.gpu[0, 0] == pytest.approx([67 + sum(slots[:2]), 67 + sum(slots[2:])], rel=1e-3)
    assert found.slowest[0, 0] > found.gpu[0, 0].max() * 0.98


def test_what_is_drawn_does_not_depend_on_what_else_is():
    batch = Batch(128, 8, COST)
    assert layer_time(PLANNED, SAMPLE, batch).mean() == layer_time(PLANNED, SAMPLE.counts, batch).mean()
    few, many = (layer_time(PLANNED, SAMPLE, batch, draws=draws) for draws in (32, 3200))
    assert few.mean()[0] == pytest.approx(many.mean()[0], rel=0.01)
    assert few.mean()[1] == pytest.approx(10 * many.mean()[1], rel=0.2)


def test_without_scatter_only_picks_make_one_gpu_slower():
    even = Placement([[0, 1]], Cluster(gpus=2), experts=2)
    found = layer_time(even, [[1, 1]], Batch(10**6, 1, replace(COST, tiles={}, token=1, scatter=0)))
    sd = 1000 / np.pi**0.5  # the larger of two normal numbers
    assert found.slowest[0, 0] - found.gpu[0, 0, 0] == pytest.approx(sd, abs=4 * found.error[0, 0])
    scattered = layer_time(even, [[1, 1]], Batch(10**6, 1, replace(COST, tiles={}, token=1)))
    assert scattered.slowest[0, 0] > 1.015 * found.slowest[0, 0]


def test_dead_gpus_bring_no_tokens_and_take_no_time():
    cluster = Cluster(gpus=3, slots_per_gpu=1, dead=[1])
    placement = Placement([[0, -1, 1]], cluster, experts=2)
    alive = Placement([[0, 1]], Cluster(gpus=2), experts=2)
    batch = Batch(100, 1, COST)
    found = layer_time(placement, [[3, 1]], batch)
    assert found.gpu[0, 0].tolist() == [*layer_time(alive, [[3, 1]], batch).gpu[0, 0, :1], 0, found.gpu[0, 0, 2]]
    assert found.slowest[0, 0] == pytest.approx(layer_time(alive, [[3, 1]], batch).slowest[0, 0], rel=0.01)


@pytest.mark.parametrize("routing", ["even", "filled"])
def test_dead_gpus_are_never_the_slowest(routing):
    loud = Batch(1, 1, ExpertCost(layer=100, scatter=0.1))
    dead = Cluster(gpus=64, slots_per_gpu=1, dead=range(2, 64))
    few = layer_time(Placement([[0, 1]], Cluster(gpus=2), 2), [[1, 1]], loud, routing=routing, draws=4000)
    many = layer_time(Placement([[0, 1, *[-1] * 62]], dead, 2), [[1, 1]], loud, routing=routing, draws=4000)
    assert many.slowest[0, 0] == pytest.approx(few.slowest[0, 0], rel=0.01)


def test_idle_layers_and_weightless_windows_are_no_part_of_the_mean():
    loads = [[[1, 1], [0, 0]], [[8, 1], [1, 1]]]
    placement = Placement([[0, 1], [0, 1]], Cluster(gpus=2), experts=2)
    found = layer_time(placement, loads, Batch(1000, 1, COST))
    assert found.slowest[0, 1] == 0
    assert found.mean()[0] == pytest.approx((found.slowest[0, 0] + found.slowest[1].sum()) / 3)
    assert found.mean(np.array([[1, 1], [0, 0]]))[0] == found.slowest[0, 0]


def test_more_tokens_than_were_measured_are_said():
    placement = Placement([[0, 1]], Cluster(gpus=2), experts=2)
    assert not layer_time(placement, [[1, 1]], Batch(8000, 1, COST)).beyond
    assert layer_time(placement, [[1, 1]], Batch(8001, 1, COST)).beyond


@pytest.mark.parametrize(
    ("tokens", "top_k", "message"),
    [
        (0, 8, "tokens is 0; expected a whole number of at least 1"),
        (128, 0.5, "top_k is 0.5; expected a whole number of at least 1"),
        (10**8, 8, "tokens is 100000000; expected at most 10,000,000"),
    ],
)
def test_batches_that_are_none_are_refused(tokens, top_k, message):
    with pytest.raises(InputError, match=message):
        Batch(tokens, top_k, COST)


def test_loads_of_another_model_are_refused():
    with pytest.raises(InputError, match="the loads have 1 layers of 3 experts, the placement 1 of 2"):
        layer_time(Placement([[0, 1]], Cluster(gpus=2), experts=2), [[1, 1, 1]], Batch(1, 1, COST))


def test_filled_gpus_split_what_pays_and_nothing_else():
    placement = Placement([[0, 1, 0, 2], [0, 1, 0, 2]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    loads = [[8, 1, 1], [4, 1, 5]]
    splits, whole = replace(COST, scatter=0), replace(COST, scatter=0, expert=500)
    assert (splits.floor, whole.floor) == (385, 7809)
    found = layer_time(placement, loads, Batch(1000, 1, splits), routing="filled")
    assert found.gpu[0] == pytest.approx(np.array([[67 + 2 * 14.6 + 9 * 16.8] * 2] * 2), rel=0.15)
    assert found.slowest[0] == pytest.approx(found.gpu[0].max(axis=1), rel=0.05)
    unsplit = layer_time(placement, loads, Batch(1000, 1, whole), routing="filled")
    tokens = np.array([[[1600, 200], [0, 200]], [[800, 200], [0, 1000]]])  # experts 0 and 1, and 2
    assert unsplit.gpu[0] == pytest.approx(whole.gpu_time(tokens), rel=0.03)


def test_filled_layers_are_faster_where_traffic_has_shifted_and_no_slower_where_tokens_are_few():
    later = sample_loads().counts[-1, :3]
    few, many = (Batch(tokens, 8, COST) for tokens in (16, 4096))
    even, filled = (layer_time(PLANNED, later, many, routing=rule).mean()[0] for rule in ("even", "filled"))
    assert filled < even
    even, filled = (layer_time(PLANNED, later, few, routing=rule).mean()[0] for rule in ("even", "filled"))
    assert filled < even


def test_another_seed_draws_other_batches_so_that_errors_add_up():
    batch = Batch(64, 8, COST)
    means = [layer_time(PLANNED, SAMPLE.counts[0], batch, draws=32, seed=seed).mean() for seed in range(40)]
    spread = np.std([mean for mean, _ in means], ddof=1)
    assert spread == pytest.approx(np.mean([error for _, error in means]), rel=0.4)
