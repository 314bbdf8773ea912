"""vLLM-Ascend's expert map, ``expert_map_path``: JSON, the experts of each device of each layer in the order of slots.

::

    {"moe_layer_count": 1, "layer_list": [
     {"layer_id": 0, "device_count": 2, "device_list": [
      {"device_id": 0, "device_expert": [0, 1]}, {"device_id": 1, "device_expert": [2, 0]}]}]}

vLLM-Ascend reads it by position: the ids are of no matter.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.json_text import read_json
from equipoise.formats.files.refusals import shown
from equipoise.formats.placements.requirements import demand_every_expert, demand_every_slot, demand_no_duplicates
from equipoise.formats.placements.slot_lists import placement_of

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.deployment import Deployment
    from equipoise.formats.sniffing import Glimpse
    from equipoise.placement import Placement


def is_vllm_ascend_map(glimpse: Glimpse) -> bool:
    """Return whether it is a JSON object with one of the two keys."""
    return glimpse.opens_with("{") and any(key in glimpse.head for key in (b'"moe_layer_count"', b'"layer_list"'))


def read_vllm_ascend_map(path: Path, deployment: Deployment) -> Placement:
    """Read a placement; its devices are the GPUs, in ``deployment.nodes`` nodes.

    Raises
    ------
    InputError
        If the file is not JSON or lacks something, devices differ in their number of slots, an expert is twice on a
        device, or one is missing.
    """
    content = read_json(path)
    layers = _list(content, "layer_list", "the file")
    if content.get("moe_layer_count") != len(layers):
        raise InputError(
            f"moe_layer_count is {shown(content.get('moe_layer_count'))}; expected {len(layers)}, as layer_list has"
        )
    rows: dict[int, list[Any]] = {}
    shape: tuple[int, int] | None = None
    for number, layer in enumerate(layers):
        devices = [
            _list(device, "device_expert", f"layer {number}, device {place}")
            for place, device in enumerate(_list(layer, "device_list", f"layer {number}"))
        ]
        for place, device in enumerate(devices):
            shape = shape or (len(devices), len(device))
            if (len(devices), len(device)) != shape:
                raise InputError(
                    f"layer {number} has {len(devices)} devices and device {place} of it {len(device)} slots; expected "
                    f"{shape[0]} devices with {shape[1]} slots each, as at the beginning of the file"
                )
        rows[number] = [expert for device in devices for expert in device]
    if not shape:
        raise InputError("has no layers; expected one at least")
    placement = placement_of(rows, deployment.cluster_of(*shape))
    demand_no_duplicates(placement, "vLLM-Ascend")
    return placement


def encode_vllm_ascend_map(placement: Placement, _: Deployment) -> str:
    """Return the file's text, one layer a line.

    Raises
    ------
    InputError
        If an expert or a slot is empty, or an expert is twice on a GPU.
    """
    demand_every_slot(placement, "vLLM-Ascend")
    demand_every_expert(placement, "vLLM-Ascend")
    demand_no_duplicates(placement, "vLLM-Ascend")
    gpus = placement.cluster.gpus
    lines = []
    for number, row in enumerate(placement.phy2log.reshape(placement.layers, gpus, -1).tolist()):
        devices = [{"device_id": gpu, "device_expert": experts} for gpu, experts in enumerate(row)]
        lines.append(json.dumps({"layer_id": number, "device_count": gpus, "device_list": devices}))
    return f'{{"moe_layer_count": {placement.layers}, "layer_list": [\n' + ",\n".join(lines) + "\n]}\n"


def _list(content: Any, key: str, name: str) -> list[Any]:
    """Return the list that the object has under this key."""
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list) or not value:
        raise InputError(f"{name}: {key} is {shown(value)}; expected a list")
    return value
