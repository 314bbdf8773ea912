"""What engines do with a placement's file when they start, written down slowly from what they document."""

from __future__ import annotations

import json

import numpy as np


def sglang_slots(path, decoder_layer):
    """``--init-expert-location``: the whole dict is passed on, so that any other key is an error."""
    content = json.loads(path.read_text())
    assert list(content) == ["physical_to_logical_map"]
    return content["physical_to_logical_map"][decoder_layer]


def tensorrt_llm_slots(path, decoder_layer):
    """``load_balancer``: a strict model, and a layer that must hold all experts in ``num_slots`` slots."""
    import yaml

    content = yaml.safe_load(path.read_text())
    assert set(content) == {"num_slots", "initial_global_assignments", "layer_updates_per_iter"}
    assert content["layer_updates_per_iter"] == 0
    slots = content["initial_global_assignments"][decoder_layer]
    assert len(slots) == content["num_slots"]
    assert set(slots) == set(range(max(slots) + 1))
    return slots


def vllm_ascend_slots(path, moe_layer):
    """``expert_map_path``: by position, into a tensor, so that all devices must have as many slots."""
    content = json.loads(path.read_text())
    layers = [[device["device_expert"] for device in layer["device_list"]] for layer in content["layer_list"]]
    devices = content["layer_list"][0]["device_count"]
    table = np.array(layers).reshape(content["moe_layer_count"], devices, -1)
    assert all(len(set(device)) == len(device) for layer in layers for device in layer)
    return table[moe_layer].ravel().tolist()


def omni_infer_slots(path, moe_layer):
    """``pattern_path``: whom each device holds, in the order of experts."""
    pattern = np.load(path).astype(np.int32)
    return [int(expert) for device in pattern[:, moe_layer] for expert in np.flatnonzero(device)]
