"""What recording takes of a forward pass: the same model with and without it, in turns."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from transformers import Qwen3MoeConfig, Qwen3MoeModel

from equipoise import record

SIZES = {
    "vocab_size": 1024,
    "hidden_size": 1024,
    "moe_intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_experts": 32,
    "num_experts_per_tok": 4,
}
PROMPTS, TOKENS = 4, 1024
WINDOW_TOKENS = 4096


@dataclass(frozen=True)
class Recorded:
    """What a forward pass takes.

    Attributes
    ----------
    device : str
        The kind of device, as torch calls it.
    tokens, experts, layers : int
        Of the pass, and of the model.
    alone, recorded : float
        Milliseconds of a pass without and with a recording, median over the rounds.
    overhead : float
        Of the recording, as a share of the pass: median of what each round took more.
    """

    device: str
    tokens: int
    experts: int
    layers: int
    alone: float
    recorded: float
    overhead: float


def time_recording(rounds: int) -> Recorded:
    """Time forward passes of a random model, on the GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = Qwen3MoeModel(Qwen3MoeConfig(**SIZES)).to(device).eval()
    tokens = torch.randint(SIZES["vocab_size"], (PROMPTS, TOKENS), device=device)
    pairs = []
    with torch.inference_mode():
        model(tokens)
        for _ in range(rounds):
            alone = _milliseconds(model, tokens)
            with record(model, WINDOW_TOKENS):
                pairs.append((alone, _milliseconds(model, tokens)))
    alone, recorded = (median(times) for times in zip(*pairs, strict=True))
    overhead = median(after / before - 1 for before, after in pairs)
    experts, layers = SIZES["num_experts"], SIZES["num_hidden_layers"]
    return Recorded(device, tokens.numel(), experts, layers, alone, recorded, overhead)


def _milliseconds(model: torch.nn.Module, tokens: torch.Tensor) -> float:
    began = perf_counter()
    model(tokens, use_cache=False)
    if tokens.is_cuda:
        torch.cuda.synchronize()
    return 1e3 * (perf_counter() - began)
