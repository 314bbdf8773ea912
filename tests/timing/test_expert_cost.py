"""What a GPU takes for its experts' tokens: the formula, what is fitted, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Conditions, ExpertCost, InputError
from equipoise.timing.known_gpus import GPUS
from equipoise.timing.known_models import MODELS
from equipoise.timing.table import Table

COST = ExpertCost(layer=70, expert=10, tiles={64: 3, 128: 5}, token=0.01, sending=0.02)
MICROSECONDS = st.floats(0, 1e3)
TOKENS = st.lists(st.integers(0, 5000), min_size=1, max_size=6)


@st.composite
def costs(draw):
    tiles = draw(st.dictionaries(st.sampled_from([16, 64, 128, 256]), MICROSECONDS, max_size=3))
    table = draw(st.none() | st.just(Table([1, 100, 200], [40, 50, 80])))
    return ExpertCost(draw(MICROSECONDS), draw(MICROSECONDS), tiles, draw(MICROSECONDS), table, draw(MICROSECONDS))


def slow_gpu_time(cost, tokens):
    """Return the time of one GPU, added up expert by expert."""
    time = cost.layer
    for n in filter(None, tokens):
        time += cost.expert + cost.token * n + cost.sending * n
        time += sum(each * math.ceil(n / rows) for rows, each in cost.tiles.items())
        time += float(cost.table(np.array(n))) if cost.table else 0
    return time


@given(cost=costs(), tokens=TOKENS)
def test_a_gpu_takes_what_its_layer_and_its_experts_do(cost, tokens):
    assert cost.gpu_time(tokens) == pytest.approx(slow_gpu_time(cost, tokens))


@given(cost=costs(), tokens=TOKENS, added=st.integers(1, 300))
def test_more_tokens_never_take_less(cost, tokens, added):
    more = [*tokens[:-1], tokens[-1] + added]
    assert cost.gpu_time(more) >= cost.gpu_time(tokens) * (1 - 1e-12)


def test_gpus_are_timed_in_any_shape():
    tokens = np.random.default_rng(0).integers(0, 300, (2, 3, 4))
    time = COST.gpu_time(tokens)
    assert time.shape == (2, 3)
    assert time[1, 2] == COST.gpu_time(tokens[1, 2])
    assert COST.expert_time(tokens).shape == tokens.shape


def measurements(cost, n=400, seed=0):
    """Return tokens of 8 to 10 slots, few to many, and what the cost says that they take."""
    rng = np.random.default_rng(seed)
    mean = rng.choice([4, 30, 100, 300, 1000, 4000], size=(n, 1))
    tokens = rng.poisson(mean * rng.lognormal(sigma=0.3, size=(n, 10)))
    tokens[np.arange(10) >= rng.integers(1, 11, (n, 1))] = 0
    return tokens, cost.gpu_time(tokens)


def test_what_is_of_its_form_is_fitted_exactly():
    cost = ExpertCost(layer=70, expert=15, tiles={64: 3, 256: 20}, token=0.01)
    tokens, time = measurements(cost)
    fitted = ExpertCost.fit(tokens, time, Conditions(device="some GPU"))
    np.testing.assert_allclose(fitted.gpu_time(tokens), time, rtol=1e-6)
    assert (fitted.layer, fitted.expert, fitted.token) == pytest.approx((70, 15, 0.01), rel=1e-3)
    assert fitted.tiles[256] == pytest.approx(20, rel=1e-3)
    assert fitted.residual < 1e-6
    assert fitted.conditions.device == "some GPU"


def test_the_residual_is_the_relative_error_and_the_scatter_what_gpus_do_not_share():
    tokens, time = measurements(ExpertCost(layer=70, expert=15, tiles={128: 17}), n=4000)
    noisy = time * (1 + 0.04 * np.random.default_rng(1).standard_normal(len(time)))
    fitted = ExpertCost.fit(tokens, noisy)
    assert fitted.residual == pytest.approx(np.sqrt(np.mean((fitted.gpu_time(tokens) / noisy - 1) ** 2)))
    assert fitted.residual == pytest.approx(0.04, rel=0.1)
    assert fitted.scatter == pytest.approx(fitted.residual, rel=0.1)
    one = np.arange(1, 2000)
    wave = ExpertCost.fit(one[:, None], (100 + one) * (1 + 0.1 * np.sin(one / 200)))  # no formula has it, but all GPUs
    assert wave.scatter < wave.residual / 10


def test_a_cost_can_be_judged_by_other_measurements_than_it_was_fitted_on():
    tokens, time = measurements(COST)
    judged = COST.judged(tokens, 2 * time)
    assert (judged.residual, judged.scatter) == pytest.approx((0.5, 0), abs=1e-12)
    assert judged.gpu_time(tokens[0]) == time[0]


def test_tokens_beyond_those_measured_go_on_as_before_and_are_told():
    tokens, time = measurements(COST)
    fitted = ExpertCost.fit(tokens, time)
    assert fitted.measured_to == tokens.max()
    assert fitted.is_beyond([tokens.max(), tokens.max() + 1]).tolist() == [False, True]
    assert not COST.is_beyond([10**9]).any()


@pytest.mark.parametrize(
    ("tokens", "time", "message"),
    [
        ([[1, 2]], [3], "measurements: 1; expected two at least, to tell of other numbers of tokens"),
        ([[1], [2]], [3, 0], "measurement 1 took 0.0 microseconds; expected a finite number above 0"),
        ([[1], [2]], [np.inf, 3], "measurement 0 took inf microseconds; expected a finite number above 0"),
        (
            [[1], [-2]],
            [3, 4],
            "tokens have values that are negative, NaN or infinite; expected finite numbers of at least 0",
        ),
        ([[1], [2]], [3, 4, 5], "tokens have shape [2, 1], microseconds [3]; expected [n, slots] and [n]"),
        ([1, 2], [3, 4], "tokens have shape [2], microseconds [2]; expected [n, slots] and [n]"),
    ],
)
def test_measurements_that_cannot_be_fitted_are_refused(tokens, time, message):
    with pytest.raises(InputError) as refused:
        ExpertCost.fit(tokens, time)
    assert str(refused.value) == message


def slow_floor(cost):
    """Return the first number of tokens of which half elsewhere saves more than an expert with one token costs."""
    time = [float(t) for t in cost.expert_time(np.arange(2000))]
    return next((n for n in range(2000) if time[n] - time[(n + 1) // 2] > time[1]), None)


@pytest.mark.parametrize(
    "cost",
    [
        COST,
        ExpertCost(expert=10, token=0.1),
        ExpertCost(tiles={128: 17}),
        ExpertCost(table=Table([1, 64, 512], [9, 9, 40])),
    ],
)
def test_the_floor_is_where_splitting_an_expert_begins_to_pay(cost):
    assert cost.floor == slow_floor(cost)


def test_where_splitting_never_pays_there_is_no_floor():
    assert ExpertCost(layer=5, expert=10).floor is None


def test_a_roofline_reads_weights_and_multiplies_tiles():
    model, gpu = MODELS["deepseek-v3"], GPUS["H100"]
    cost = ExpertCost.roofline("h100", model, "bf16")
    weights = 3 * 7168 * 2048
    assert cost.expert == pytest.approx(1e6 * 2 * weights / gpu.bandwidth)
    assert cost.tiles == {128: pytest.approx(1e6 * 2 * 128 * weights / gpu.bf16)}
    half = ExpertCost.roofline(gpu, model, "fp8")
    assert (half.expert, half.tiles[128]) == pytest.approx((cost.expert / 2, cost.tiles[128] / 2))
    assert (half.conditions.expert_size, half.conditions.dtype) == (2048, "fp8")


@pytest.mark.parametrize(
    ("gpu", "dtype", "message"),
    [
        ("A100", "fp8", "this GPU has no FP8; use dtype='bf16'"),
        ("H100", "fp4", "dtype is 'fp4'; expected 'bf16', 'fp8'"),
        ("TPU", "bf16", "gpu is 'TPU'; expected 'A100', 'H100', 'H200', 'B200', 'L40S', 'MI300X'"),
    ],
)
def test_what_no_gpu_is_or_does_is_refused(gpu, dtype, message):
    with pytest.raises(InputError) as refused:
        ExpertCost.roofline(gpu, MODELS["kimi-k2"], dtype)
    assert str(refused.value) == message


def test_a_link_adds_the_same_for_every_token():
    linked = COST.over_link(token_bytes=1000, bandwidth=1e9)
    assert linked.gpu_time([100, 200]) - COST.gpu_time([100, 200]) == pytest.approx(300 * (1 - COST.sending))
    with pytest.raises(InputError, match="bandwidth is 0; expected a finite number above 0"):
        COST.over_link(token_bytes=1000, bandwidth=0)


@pytest.mark.parametrize("name", ["layer", "expert", "token", "sending", "residual", "scatter"])
def test_a_negative_number_is_refused_by_its_name(name):
    with pytest.raises(InputError, match=f"{name} is -1; expected a finite number above 0"):
        ExpertCost(**{name: -1})


def test_tiles_without_rows_or_of_negative_cost_are_refused():
    with pytest.raises(InputError, match="rows of a tile is 0"):
        ExpertCost(tiles={0: 1.0})
    with pytest.raises(InputError, match="tiles is -1"):
        ExpertCost(tiles={128: -1.0})
