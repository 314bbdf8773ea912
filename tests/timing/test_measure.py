"""Experts timed on this machine: what is multiplied, what is asked of torch, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from equipoise import ExpertCost, InputError
from equipoise.timing import measure
from equipoise.timing.check import TOKENS, Checked, check_placements
from equipoise.timing.measure import this_machine, time_gpus
from equipoise.timing.points import as_table, points_to_fit

torch = pytest.importorskip("torch")

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
HIDDEN, EXPERT = 32, 16
GPU = np.array([5, 0, 1, 20])


@pytest.fixture
def on_the_cpu(monkeypatch):
    """Have no GPU, and no more read than takes no time."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(measure.CACHE, "cpu", 2**12)


@pytest.fixture
def machine(on_the_cpu):
    return this_machine(HIDDEN, EXPERT)


def slow_layer(layer, gpu):
    """Return what the experts make of their tokens, token by token."""
    made, expert_of = [], np.repeat(np.arange(len(gpu)), gpu)
    for token, expert in zip(layer.tokens.float(), expert_of, strict=False):
        hidden = token @ layer.gate_up.weights[expert].float()
        gate, up = hidden[:EXPERT], hidden[EXPERT:]
        made.append((gate * torch.sigmoid(gate) * up) @ layer.down.weights[expert].float())
    return torch.stack(made)


def test_every_token_goes_through_its_expert(machine):
    layer = measure._Layer.random(machine, slots=5, tokens=30)
    made = layer.prepared(GPU)()
    assert made.shape == (26, HIDDEN)
    torch.testing.assert_close(made.float(), slow_layer(layer, GPU), rtol=0.05, atol=0.05)


def test_experts_differ_and_are_the_same_every_time(machine):
    first, second = (measure._Layer.random(machine, slots=2, tokens=3) for _ in range(2))
    assert torch.equal(first.gate_up.weights, second.gate_up.weights)
    assert not torch.equal(first.down.weights[0], first.down.weights[1])


@pytest.mark.parametrize("dtype", ["bf16", "fp8"])
def test_torch_takes_what_its_grouped_multiplication_is_given(on_the_cpu, machine, dtype):
    """Tensors without numbers: torch checks shapes, types and strides of these as a GPU's."""
    layer = measure._Layer.random(replace(machine, dtype=dtype), slots=5, tokens=30)

    def without_numbers(matrices):
        return replace(matrices, weights=matrices.weights.to("meta"), scales=matrices.scales.to("meta"))

    there = replace(
        layer,
        tokens=layer.tokens.to("meta"),
        scales=layer.scales.to("meta"),
        gate_up=without_numbers(layer.gate_up),
        down=without_numbers(layer.down),
    )
    made = there.prepared(GPU)()
    assert (made.shape, made.dtype, made.device.type) == ((26, HIDDEN), torch.bfloat16, "meta")


def test_numbers_in_fp8_stay_numbers(on_the_cpu, machine):
    layer = measure._Layer.random(replace(machine, dtype="fp8"), slots=2, tokens=100)
    products = layer.tokens.float() @ layer.gate_up.weights[0].float() * layer.gate_up.scales[0]
    assert layer.tokens.dtype == layer.down.weights.dtype == torch.float8_e4m3fn
    assert products.std().item() == pytest.approx(1, rel=0.2)


def test_each_gpu_is_timed_in_its_turn_and_told(machine):
    told = []
    times = time_gpus([GPU, GPU[:2], np.array([2000, 2000])], machine, lambda *done: told.append(done))
    assert times.shape == (3,)
    assert (times > 0).all()
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_run_is_warmed_up_and_the_median_of_three_counts(machine, monkeypatch):
    clock = iter([0, 5, 10, 12, 20, 29])  # three runs, of 5, 2 and 9 seconds
    monkeypatch.setattr(measure, "perf_counter", lambda: next(clock))
    runs = []
    monkeypatch.setattr(measure._Layer, "prepared", lambda layer, gpu: lambda: runs.append(gpu))
    assert time_gpus([GPU], machine).tolist() == [5e6]
    assert len(runs) == 1 + 1 + 3  # to see that it works, to warm up, to time


def test_the_machine_says_what_it_is(machine):
    assert machine.device.startswith("CPU ")
    assert machine.versions == {"torch": torch.__version__}
    assert (machine.hidden_size, machine.expert_size, machine.dtype) == (HIDDEN, EXPERT, "bf16")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((30, 16), "hidden_size is 30; expected a multiple of 16, as GPUs multiply"),
        ((32, 0), "expert_size is 0; expected a whole number of at least 1"),
        ((32, 16, "fp8"), "dtype is 'fp8', but torch finds no GPU here; use dtype='bf16'"),
        ((32, 16, "fp4"), "dtype is 'fp4'; expected 'bf16', 'fp8'"),
    ],
)
def test_what_cannot_be_measured_is_refused(on_the_cpu, asked, message):
    with pytest.raises(InputError) as refused:
        this_machine(*asked)
    assert str(refused.value) == message


def test_without_torch_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"^measuring needs torch, .*; pip install 'equipoise\[torch\]'$"):
        this_machine(HIDDEN, EXPERT)


@pytest.mark.parametrize("failure", [RuntimeError("no kernel\nat line 3"), AttributeError("no kernel")])
def test_what_torch_does_not_do_here_is_refused_in_its_words(machine, monkeypatch, failure):
    def fail(*_):
        raise failure

    monkeypatch.setattr(measure._Layer, "prepared", fail)
    with pytest.raises(InputError) as refused:
        time_gpus([GPU], machine)
    assert str(refused.value) == (
        f"torch {torch.__version__} cannot multiply these experts on {machine.device}: no kernel; use another dtype, "
        "fewer slots or a newer torch"
    )


def test_a_check_times_random_placements_and_knows_the_error(machine, monkeypatch):
    cost = ExpertCost(layer=60, expert=15, tiles={128: 17}, conditions=machine)
    timed = []

    def twice_as_long(gpus, conditions, progress):
        assert conditions == machine
        timed.extend(gpus)
        return 2 * cost.gpu_time(as_table(gpus))

    monkeypatch.setattr("equipoise.timing.check.time_gpus", twice_as_long)
    found = check_placements(cost, [3, 4], lambda *_: None)
    assert [(one.slots, one.tokens) for one in found] == [(slots, tokens) for slots in (3, 4) for tokens in TOKENS]
    assert len(timed) == sum(len(one.measured) for one in found)
    for one in found:
        np.testing.assert_allclose(one.measured, 2 * one.predicted)
    assert found[0].squared_error == pytest.approx(0.25)
    assert Checked(1, 2, np.array([1.0, 3.0]), np.array([1.0, 2.0])).squared_error == pytest.approx(0.125)


@needs_gpu
@pytest.mark.parametrize("dtype", ["bf16", "fp8"])
def test_a_gpu_multiplies_what_it_should(dtype):
    conditions = this_machine(256, 128, dtype)
    if dtype == "fp8" and torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("this GPU has no FP8")
    layer = measure._Layer.random(conditions, slots=4, tokens=30)
    made = layer.prepared(GPU)().float()
    row = layer.tokens.float() @ (layer.gate_up.weights[0].float() * layer.gate_up.scales[0] ** (dtype == "fp8"))
    gate, up = row.chunk(2, dim=1)
    down = layer.down.weights[0].float() * layer.down.scales[0] ** (dtype == "fp8")
    torch.testing.assert_close(made[:5], ((torch.nn.functional.silu(gate) * up) @ down)[:5], rtol=0.1, atol=0.2)


@needs_gpu
def test_a_cost_is_fitted_to_a_gpus_times():
    conditions = this_machine(2048, 1024)
    gpus = points_to_fit([8], 64)
    times = time_gpus(gpus, conditions)
    assert (times > 0).all()
    assert ExpertCost.fit(as_table(gpus), times, conditions).conditions.device == torch.cuda.get_device_name()
