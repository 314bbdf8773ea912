"""Small transformers models with random weights, from a config alone."""

from __future__ import annotations

import torch

EXPERTS, LAYERS, VOCABULARY = 10, 2, 60
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_experts_per_tok": 3,
    "max_position_embeddings": 64,
}


def qwen3_moe():
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    return Qwen3MoeForCausalLM(
        Qwen3MoeConfig(**COMMON, intermediate_size=48, moe_intermediate_size=16, num_experts=EXPERTS, head_dim=16)
    )


def mixtral():
    from transformers import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(MixtralConfig(**COMMON, intermediate_size=16, num_local_experts=EXPERTS))


def deepseek_v3():
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    own = {"first_k_dense_replace": 0, "n_group": 2, "topk_group": 1, "n_routed_experts": EXPERTS}
    attention = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    many = COMMON | {"num_key_value_heads": 2}
    return DeepseekV3ForCausalLM(
        DeepseekV3Config(**many, **own, **attention, intermediate_size=48, moe_intermediate_size=16)
    )


def gpt_oss():
    from transformers import GptOssConfig, GptOssForCausalLM

    return GptOssForCausalLM(GptOssConfig(**COMMON, intermediate_size=16, num_local_experts=EXPERTS, head_dim=16))


MODELS = {one.__name__: one for one in (qwen3_moe, mixtral, deepseek_v3, gpt_oss)}


def new_model(name):
    """Return a model with the same random weights each time, in evaluation."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model


def tokens_of(rank, step=0):
    """Return the batch of a rank, ``[sequences, length]``: another for each, and not of the same size."""
    generator = torch.Generator().manual_seed(1000 * step + rank)
    return torch.randint(VOCABULARY, (1 + rank % 2, 7 + rank), generator=generator)
