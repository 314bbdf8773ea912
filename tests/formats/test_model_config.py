"""Models by their name, and out of their own config.json, whatever its keys are called."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError, read_model
from equipoise.timing.known_models import MODELS
from tests.formats.mutations import damaged

# As they are published, but for the keys that do not speak of experts or layers.
DEEPSEEK = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "n_shared_experts": 1,
    "n_routed_experts": 256,
    "n_group": 8,
    "num_experts_per_tok": 8,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 3,
}
KIMI = DEEPSEEK | {"model_type": "kimi_k2", "n_routed_experts": 384, "n_group": 1, "first_k_dense_replace": 1}
GLM_5 = DEEPSEEK | {
    "hidden_size": 6144,
    "num_hidden_layers": 78,
    "n_group": 1,
    "mlp_layer_types": ["dense"] * 3 + ["sparse"] * 75,
}
QWEN = {
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "moe_intermediate_size": 1536,
    "num_hidden_layers": 94,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}
QWEN_NEXT = QWEN | {
    "hidden_size": 2048,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "num_hidden_layers": 48,
    "num_experts": 512,
    "num_experts_per_tok": 10,
}
GPT_OSS = {
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_hidden_layers": 36,
    "num_local_experts": 128,
    "experts_per_token": 4,
}
MINIMAX = {
    "hidden_size": 3072,
    "intermediate_size": 1536,
    "num_hidden_layers": 62,
    "num_local_experts": 256,
    "num_experts_per_tok": 8,
    "shared_intermediate_size": 0,
}
MIXTRAL = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
MAVERICK = {
    "model_type": "llama4_text",
    "hidden_size": 5120,
    "intermediate_size": 8192,
    "intermediate_size_mlp": 16384,
    "interleave_moe_layer_step": 2,
    "num_hidden_layers": 48,
    "num_local_experts": 128,
    "num_experts_per_tok": 1,
}
CONFIGS = [
    ("deepseek-v3", DEEPSEEK),
    ("kimi-k2", KIMI),
    ("kimi-k2", {"text_config": KIMI}),
    ("glm-5", GLM_5),
    ("qwen3-235b-a22b", QWEN),
    ("qwen3-next-80b-a3b", QWEN_NEXT),
    ("gpt-oss-120b", GPT_OSS),
    ("minimax-m2", MINIMAX),
    ("mixtral-8x7b", MIXTRAL),
    ("llama-4-maverick", {"text_config": MAVERICK}),
    ("llama-4-maverick", MAVERICK | {"moe_layers": list(range(1, 48, 2)), "interleave_moe_layer_step": 1}),
]


def written(folder, config):
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_a_models_own_config_says_what_the_table_of_models_does(tmp_path, name, config):
    path = written(tmp_path, config)
    assert read_model(path) == read_model(tmp_path) == read_model(name.upper()) == MODELS[name]


def test_layers_with_experts_may_be_listed(tmp_path):
    listed = read_model(written(tmp_path, DEEPSEEK | {"moe_layer_freq": [0] * 3 + [1] * 58}))
    assert listed == MODELS["deepseek-v3"]
    some = read_model(written(tmp_path, QWEN | {"mlp_only_layers": [0, 1]}))
    assert list(some.moe_layers) == list(range(2, 94))
    last = read_model(written(tmp_path, QWEN | {"mlp_only_layers": list(range(93))}))
    assert list(last.moe_layers) == [93]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "not a model's config.json: []; expected an object"),
        ({"text_config": 1}, "text_config is 1; expected an object"),
        (
            {"num_hidden_layers": 2, "hidden_size": 8},
            "has no n_routed_experts or num_experts or num_local_experts; expected",
        ),
        (
            DEEPSEEK | {"moe_intermediate_size": None},
            "has no moe_intermediate_size; expected the config.json of a Mixture-",
        ),
        (DEEPSEEK | {"n_routed_experts": 2.5}, "n_routed_experts is 2.5; expected a whole number of at least 1"),
        (DEEPSEEK | {"n_group": -1}, "n_group is -1; expected a whole number of at least 0"),
        (DEEPSEEK | {"moe_layer_freq": 0}, "moe_layer_freq is 0; expected a whole number of at least 1"),
        (DEEPSEEK | {"num_experts_per_tok": 300}, "a token selects 300 of 256 experts; expected at most all of them"),
        (DEEPSEEK | {"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000; expected at most 10000"),
        (DEEPSEEK | {"first_k_dense_replace": 61}, "the layers with experts are (none); expected one of 61 at least"),
        (QWEN | {"mlp_only_layers": 3}, "mlp_only_layers is 3; expected a list of layers"),
        (QWEN | {"mlp_only_layers": [1]}, "the layers with experts are 0, 2, 3, "),
        (QWEN | {"mlp_only_layers": [93]}, "the layers with experts are 0, 1, 2, "),
        (MAVERICK | {"moe_layers": ["1"]}, "the layers with experts are 1; expected one of 48 at least"),
    ],
)
def test_a_config_that_tells_of_no_experts_is_refused_by_key(tmp_path, config, message):
    path = written(tmp_path, config)
    with pytest.raises(InputError) as refused:
        read_model(path)
    assert str(refused.value).startswith(f"{path}: {message}")


def test_neither_a_name_nor_a_file_is_refused_with_the_names_there_are():
    with pytest.raises(
        InputError, match=r"^model is 'no/such/config\.json'; expected the path of its config\.json, or"
    ):
        read_model("no/such/config.json")


@given(seed=st.integers(0, 10**6), config=st.sampled_from([config for _, config in CONFIGS]))
def test_damaged_files_are_read_or_refused(tmp_path_factory, seed, config):
    path = tmp_path_factory.getbasetemp() / "config.json"
    path.write_bytes(damaged(json.dumps(config).encode(), seed))
    with suppress(InputError):
        assert read_model(path).moe_layers
