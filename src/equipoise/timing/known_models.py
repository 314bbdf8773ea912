"""Mixture-of-Experts models: their experts, and which of their layers have any.

Every line is from the ``config.json`` that the model is published with: of ``deepseek-ai``, ``moonshotai``, ``Qwen``,
``zai-org``, ``openai``, ``MiniMaxAI``, ``mistralai`` and ``meta-llama``. Layers that only guess further tokens (MTP)
are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from equipoise.errors import InputError, check_count, setting


@dataclass(frozen=True)
class Model:
    """A Mixture-of-Experts model, as far as its experts go.

    Parameters
    ----------
    experts : int
        Routed experts of a layer.
    top_k : int
        Experts that a token selects.
    hidden_size, expert_size : int
        Width of a token, and of what an expert makes of it in between.
    layers : int
        Decoder layers in all.
    first_moe_layer : int
        Decoder layers before the first with experts.
    moe_layer_step : int
        From there on, every so many-th layer has experts.
    groups : int
        Expert groups; 1 where there are none.
    shared_experts : int
        Experts of a layer that every token goes to, beside those that it selects.

    Raises
    ------
    InputError
        If a number is not whole or too small, a token selects more experts than there are, or no layer has experts.

    Examples
    --------
    >>> MODELS["deepseek-v3"].moe_layers
    range(3, 61)
    """

    experts: int
    top_k: int
    hidden_size: int
    expert_size: int
    layers: int
    first_moe_layer: int = 0
    moe_layer_step: int = 1
    groups: int = 1
    shared_experts: int = 0

    def __post_init__(self) -> None:
        for name in ("experts", "top_k", "hidden_size", "expert_size", "layers", "moe_layer_step", "groups"):
            object.__setattr__(self, name, check_count(name, getattr(self, name)))
        for name in ("first_moe_layer", "shared_experts"):
            if getattr(self, name) != 0:
                check_count(name, getattr(self, name))
        if self.top_k > self.experts:
            raise InputError(f"a token selects {self.top_k} of {self.experts} experts; expected at most all of them")
        if self.experts % self.groups:
            raise InputError(f"{self.experts} experts do not divide into {self.groups} groups")
        if not self.moe_layers:
            raise InputError(f"the first of {self.layers} layers with experts is {self.first_moe_layer}; expected less")

    @property
    def moe_layers(self) -> range:
        """The decoder layers that have experts."""
        return range(self.first_moe_layer, self.layers, self.moe_layer_step)

    @property
    def expert_weights(self) -> int:
        """Weights of an expert of one layer: three matrices, gate, up and down."""
        return 3 * self.hidden_size * self.expert_size


DEEPSEEK_V3 = Model(256, 8, 7168, 2048, layers=61, first_moe_layer=3, groups=8, shared_experts=1)

MODELS = {
    "deepseek-v3": DEEPSEEK_V3,
    "deepseek-r1": DEEPSEEK_V3,
    "kimi-k2": Model(384, 8, 7168, 2048, layers=61, first_moe_layer=1, shared_experts=1),
    "qwen3-30b-a3b": Model(128, 8, 2048, 768, layers=48),
    "qwen3-235b-a22b": Model(128, 8, 4096, 1536, layers=94),
    "qwen3-next-80b-a3b": Model(512, 10, 2048, 512, layers=48, shared_experts=1),
    "glm-4.5": Model(160, 8, 5120, 1536, layers=92, first_moe_layer=3, shared_experts=1),
    "glm-4.5-air": Model(128, 8, 4096, 1408, layers=46, first_moe_layer=1, shared_experts=1),
    "glm-5": Model(256, 8, 6144, 2048, layers=78, first_moe_layer=3, shared_experts=1),
    "gpt-oss-20b": Model(32, 4, 2880, 2880, layers=24),
    "gpt-oss-120b": Model(128, 4, 2880, 2880, layers=36),
    "minimax-m2": Model(256, 8, 3072, 1536, layers=62),
    "mixtral-8x7b": Model(8, 2, 4096, 14336, layers=32),
    "llama-4-scout": Model(16, 1, 5120, 8192, layers=48, shared_experts=1),
    "llama-4-maverick": Model(128, 1, 5120, 8192, layers=48, first_moe_layer=1, moe_layer_step=2, shared_experts=1),
}


def known_model(name: str) -> Model:
    """Return the model of this name, whatever its case.

    Raises
    ------
    InputError
        If it is none of :data:`MODELS`.
    """
    if name.lower() not in MODELS:
        raise InputError(
            f"{setting('model')} is {name!r}; expected the path of its config.json, or one of {', '.join(MODELS)}"
        )
    return MODELS[name.lower()]
