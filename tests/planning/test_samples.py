"""Counts are samples: how far they are trusted, what is planned from few of them, and what to expect of that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, Placement, Scenarios, balance, plan, read_loads, sample_loads
from equipoise.planning.samples import par_to_expect, shrunk, trust

CLUSTER = Cluster(gpus=32, slots_per_gpu=9)
RECORDED = ("deepseek_v3_sglang_ep", "qwen3_30b_a3b_decode", "olmoe_1b_7b_domains", "mixtral_8x7b_domains")


def drawn(selections, seed=10):
    """Return counts drawn from skewed true loads, and these, ``[layers, experts]``."""
    rng = np.random.default_rng(seed)
    true = rng.lognormal(0, 0.5, (8, 256))
    true /= true.sum(axis=1, keepdims=True)
    return np.stack([rng.multinomial(selections, share) for share in true]), true


@pytest.mark.parametrize("selections", [60, 240, 2400])
def test_a_plan_from_few_selections_claims_no_more_than_comes_true(selections):
    counts, true = drawn(selections)
    found = plan(counts, CLUSTER).placement
    default = Placement.default(CLUSTER, 256, 8)
    reached, raw = (balance(one, true).par.mean() for one in (found, plan(Scenarios(counts), CLUSTER).placement))
    assert reached < balance(default, true).par.mean()
    assert reached < raw + 0.01
    assert par_to_expect(found, Loads(counts), "even") == pytest.approx(reached, abs=0.08)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_nothing_but_chance_is_not_planned_for(seed):
    counts = np.random.default_rng(seed).multinomial(300, np.full(64, 1 / 64), 4)
    found = plan(counts, Cluster(gpus=8, slots_per_gpu=9)).placement
    assert balance(found, np.ones((4, 64))).par.mean() < 1.03


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_loads_are_taken_as_they_are(real_loads, name):
    loads = read_loads(real_loads / f"{name}.npz")
    assert (trust(loads) == 1).all()
    scenarios = Scenarios(loads)
    assert shrunk(scenarios, trust(loads)) is scenarios


def test_nothing_is_planned_for_nothing():
    with pytest.raises(InputError, match="the loads are zero throughout: nothing was recorded"):
        plan(np.zeros((3, 2, 8)), CLUSTER)


def test_shares_idle_layers_and_many_selections_are_trusted():
    counts, _ = drawn(500_000)
    assert (trust(Loads(counts)) == 1).all()
    assert (trust(Loads(counts / counts.sum(axis=1, keepdims=True))) == 1).all()
    assert trust(Loads(np.zeros((1, 8)))).tolist() == [1.0]
    assert (trust(sample_loads()) == 1).all()


@given(counts=st.lists(st.lists(st.integers(0, 30), min_size=6, max_size=6), min_size=1, max_size=4))
def test_shrinking_keeps_every_layers_load_and_order(counts):
    loads = Loads([[layer] for layer in counts])
    share = trust(loads)
    assert ((share >= 0) & (share <= 1)).all()
    scenarios = Scenarios(loads)
    found = shrunk(scenarios, share).counts
    np.testing.assert_allclose(found.sum(axis=2), scenarios.counts.sum(axis=2))
    assert (np.diff(found, axis=2) * np.diff(scenarios.counts, axis=2) >= 0).all()
