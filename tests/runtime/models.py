"""Small models of transformers, with random weights and nothing downloaded."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import torch
import transformers

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "moe_intermediate_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts_per_tok": 2,
    "pad_token_id": 0,
}
LATENT = {
    "head_dim": 8,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
}
EXPERTS = 8
FAMILIES = {
    "Qwen3Moe": {"num_experts": EXPERTS},
    "Qwen2Moe": {"num_experts": EXPERTS, "shared_expert_intermediate_size": 16},
    "Qwen3Next": {"num_experts": EXPERTS, "shared_expert_intermediate_size": 16, "full_attention_interval": 2},
    "Mixtral": {"num_local_experts": EXPERTS},
    "Olmoe": {"num_experts": EXPERTS},
    "DeepseekV3": {"n_routed_experts": EXPERTS, "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1, **LATENT},
    "GptOss": {"num_local_experts": EXPERTS},
    "Glm4Moe": {"n_routed_experts": EXPERTS, "first_k_dense_replace": 1},
}
"""What each family's config has beyond :data:`SIZES`; two have a dense layer first."""
FIRST_MOE_LAYER = {"DeepseekV3": 1, "Glm4Moe": 1}


@cache
def small_model(family: str) -> torch.nn.Module:
    """Return a causal model of this family, all whose routers are random."""
    config = getattr(transformers, f"{family}Config")(**SIZES | FAMILIES[family])
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    for name, weights in model.named_parameters():
        if ".gate." in name or ".router." in name:
            torch.nn.init.normal_(weights)
    return model


def batch(rows: int = 3, tokens: int = 20, seed: int = 0) -> torch.Tensor:
    """Return the tokens of prompts, ``[rows, tokens]``."""
    return torch.randint(1, SIZES["vocab_size"], (rows, tokens), generator=torch.Generator().manual_seed(seed))


def mask_of(lengths: list[int], tokens: int, left: bool = False) -> torch.Tensor:
    """Return the attention mask of prompts of these lengths."""
    real = torch.arange(tokens) < torch.tensor(lengths)[:, None]
    return (real.flip(1) if left else real).long()


def own_copy(family: str) -> torch.nn.Module:
    """Return a model of this family to change: the same weights each time."""
    return deepcopy(small_model(family))


def moe_layers(family: str) -> int:
    """Return how many layers of a family's model have experts."""
    return SIZES["num_hidden_layers"] - FIRST_MOE_LAYER.get(family, 0)
