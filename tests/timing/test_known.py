"""The tables of GPUs and models: found by name, and what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from equipoise import Conditions, InputError, Model
from equipoise.timing.known_gpus import GPUS, Gpu
from equipoise.timing.known_models import MODELS, known_model

V3 = MODELS["deepseek-v3"]


def test_fp8_is_twice_as_fast_where_a_gpu_has_it():
    assert {name for name, gpu in GPUS.items() if gpu.fp8 is None} == {"A100"}
    for gpu in GPUS.values():
        assert gpu.fp8 is None or gpu.fp8 == pytest.approx(2 * gpu.bf16, rel=0.02)


def test_layers_with_experts_are_numbered_as_decoder_layers():
    assert list(V3.moe_layers) == list(range(3, 61))
    assert list(MODELS["llama-4-maverick"].moe_layers) == list(range(1, 48, 2))
    assert len(MODELS["qwen3-235b-a22b"].moe_layers) == 94


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("deepseek-v3", 671),
        ("kimi-k2", 1040),
        ("qwen3-30b-a3b", 30.5),
        ("qwen3-235b-a22b", 235),
        ("qwen3-next-80b-a3b", 80),
        ("glm-4.5", 355),
        ("glm-4.5-air", 106),
        ("glm-5", 744),
        ("gpt-oss-20b", 21),
        ("gpt-oss-120b", 117),
        ("minimax-m2", 230),
        ("mixtral-8x7b", 46.7),
        ("llama-4-scout", 109),
        ("llama-4-maverick", 400),
    ],
)
def test_experts_are_most_of_the_weights_that_a_model_is_said_to_have(name, billions):
    model = MODELS[name]
    routed = model.expert_weights * model.experts * len(model.moe_layers) / 1e9
    assert 0.85 * billions < routed < billions


def test_a_name_that_is_none_is_refused_with_those_that_are():
    assert known_model("Kimi-K2") == MODELS["kimi-k2"]
    with pytest.raises(
        InputError, match=r"^model is 'gpt-5'; expected the path of its config\.json, or one of deepseek-v3, "
    ):
        known_model("gpt-5")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"top_k": 300}, "a token selects 300 of 256 experts; expected at most all of them"),
        ({"groups": 7}, "256 experts do not divide into 7 groups"),
        ({"first_moe_layer": 61}, "the first of 61 layers with experts is 61; expected less"),
        ({"expert_size": 0}, "expert_size is 0; expected a whole number of at least 1"),
        ({"shared_experts": -1}, "shared_experts is -1; expected a whole number of at least 1"),
    ],
)
def test_a_model_that_cannot_be_is_refused(changed, message):
    with pytest.raises(InputError) as refused:
        replace(V3, **changed)
    assert str(refused.value) == message


def test_a_gpu_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="bandwidth is 0; expected a finite number above 0"):
        Gpu(bandwidth=0, bf16=1e12)


def test_a_cost_for_experts_of_another_size_is_refused():
    mixtral: Model = MODELS["mixtral-8x7b"]
    conditions = Conditions(hidden_size=4096, expert_size=2048)
    with pytest.raises(InputError, match="the cost is for a expert_size of 2048, the model has 14336; expected one"):
        conditions.check_model(mixtral)
    Conditions(hidden_size=4096).check_model(mixtral)
    Conditions().check_model(V3)
