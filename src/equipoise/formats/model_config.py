"""A model's own ``config.json``, as far as it tells of experts.

It is known by its keys: those of DeepSeek, Kimi and GLM, Qwen, gpt-oss, MiniMax, Mixtral and Llama 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.json_text import read_json
from equipoise.formats.files.refusals import listed, shown
from equipoise.timing.known_models import Model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts")
TOP_K = ("num_experts_per_tok", "experts_per_token")
MOST_LAYERS = 10_000


def read_config(path: Path) -> Model:
    """Read a model out of its ``config.json``.

    Raises
    ------
    InputError
        If it is no such file, or lacks what a model with experts has.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"not a model's config.json: {shown(content)}; expected an object")
    config = content.get("text_config", content)  # of models that see, too
    if not isinstance(config, dict):
        raise InputError(f"text_config is {shown(config)}; expected an object")
    layers = _count(config, ("num_hidden_layers",))
    moe_layers = _evenly_spaced(_moe_layers(config, layers), layers)
    return Model(
        experts=_count(config, EXPERTS),
        top_k=_count(config, TOP_K),
        hidden_size=_count(config, ("hidden_size",)),
        expert_size=_count(config, _size_keys(config)),
        layers=layers,
        first_moe_layer=moe_layers.start,
        moe_layer_step=moe_layers.step,
        groups=_optional(config, "n_group", 1),
        shared_experts=_shared_experts(config),
    )


def _size_keys(config: dict[str, Any]) -> tuple[str, ...]:
    """Return under which names the size of an expert may stand; ``intermediate_size`` may be that of dense layers."""
    return ("moe_intermediate_size", *(["intermediate_size"] if "num_local_experts" in config else []))


def _shared_experts(config: dict[str, Any]) -> int:
    """Return the shared experts; Qwen and MiniMax give a size alone, and Llama 4 has one without saying so."""
    sizes = (_optional(config, key, 0) for key in ("shared_expert_intermediate_size", "shared_intermediate_size"))
    if any(sizes) or str(config.get("model_type")).startswith("llama4"):
        return 1
    return _optional(config, "n_shared_experts", 0)


def _moe_layers(config: dict[str, Any], layers: int) -> list[Any]:
    """Return the decoder layers with experts: listed one by one, or by a rule."""
    if layers > MOST_LAYERS:
        raise InputError(f"num_hidden_layers is {layers}; expected at most {MOST_LAYERS}")
    if isinstance(listed_layers := config.get("moe_layers"), list):
        return listed_layers
    for key, dense in (("mlp_layer_types", "dense"), ("moe_layer_freq", 0)):
        if isinstance(kinds := config.get(key), list):
            return [layer for layer, kind in enumerate(kinds[:layers]) if kind != dense]
    dense_layers = config.get("mlp_only_layers") or []
    if not isinstance(dense_layers, list):
        raise InputError(f"mlp_only_layers is {shown(dense_layers)}; expected a list of layers")
    first = _optional(config, "first_k_dense_replace", 0)
    every = _optional(config, "moe_layer_freq", 1, least=1)  # from layer 0 on
    step = _optional(config, "decoder_sparse_step", 1, least=1)  # from the layer before on, like Llama 4's
    step = _optional(config, "interleave_moe_layer_step", step, least=1)
    ruled = (layer for layer in range(first, layers) if layer % every == 0 and (layer + 1) % step == 0)
    return [layer for layer in ruled if layer not in dense_layers]


def _evenly_spaced(moe_layers: list[Any], layers: int) -> range:
    """Return the same layers as a range, or refuse those that do not go on to the last layer at even distances."""
    if not moe_layers or not all(type(layer) is int and 0 <= layer < layers for layer in moe_layers):
        raise InputError(f"the layers with experts are {listed(moe_layers)}; expected one of {layers} at least")
    step = moe_layers[1] - moe_layers[0] if len(moe_layers) > 1 else layers
    spaced = range(moe_layers[0], layers, max(step, 1))
    if list(spaced) != moe_layers:
        raise InputError(
            f"the layers with experts are {listed(moe_layers)} of {layers}; expected them at even distances, up to the "
            "last"
        )
    return spaced


def _count(config: dict[str, Any], keys: Sequence[str]) -> int:
    """Return what is there under the first of these keys that there is."""
    for key in keys:
        if config.get(key) is not None:
            return _whole(key, config[key], least=1)
    raise InputError(f"has no {' or '.join(keys)}; expected the config.json of a Mixture-of-Experts model")


def _optional(config: dict[str, Any], key: str, default: int, least: int = 0) -> int:
    return default if config.get(key) is None else _whole(key, config[key], least)


def _whole(key: str, value: Any, least: int) -> int:
    if type(value) is not int or not least <= value < 2**31:
        raise InputError(f"{key} is {shown(value)}; expected a whole number of at least {least}")
    return value
