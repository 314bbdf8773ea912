"""SGLang's ``--init-expert-location``: JSON, or torch's ``.pt``, with ``physical_to_logical_map`` and no other key.

The map is ``[decoder layers][slots]``: the expert in each slot, dense layers included. What a dense layer has there is
of no matter; Equipoise writes the default layout.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError, setting
from equipoise.formats.files.json_text import read_json
from equipoise.formats.files.refusals import listed, shown
from equipoise.formats.files.torch_files import as_array, is_tensor, read_torch
from equipoise.formats.placements.requirements import demand_every_expert, demand_every_slot
from equipoise.formats.placements.slot_lists import placement_of
from equipoise.formats.sniffing import Glimpse
from equipoise.placement import Placement

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.deployment import Deployment

KEY = "physical_to_logical_map"
LOADS = (b'expert_load"', b'"expert_load_window"', b'"snapshots"')


def is_sglang_location(glimpse: Glimpse) -> bool:
    """Return whether it is a JSON object, or a torch file, with the map in it."""
    in_json = glimpse.opens_with("{") and f'"{KEY}"'.encode() in glimpse.head and not _has_loads(glimpse)
    return in_json or (glimpse.pickles(KEY) and not glimpse.pickles("expert_load_window"))


def read_sglang_location(path: Path, deployment: Deployment) -> Placement:
    """Read the layers that ``deployment`` says have experts, otherwise all, for ``deployment.gpus`` GPUs.

    Raises
    ------
    InputError
        If the file is damaged, has another key, which SGLang refuses, or is no valid map, or the deployment does not
        fit.
    """
    content = _content(path)
    if not isinstance(content, dict) or list(content) != [KEY]:
        found = f"the keys {listed(content)}" if isinstance(content, dict) else shown(content)
        raise InputError(f"holds {found}; expected {KEY} and nothing else, as SGLang does")
    layers = content[KEY]
    if not isinstance(layers, list) or not layers:
        raise InputError(f"{KEY} is {shown(layers)}; expected a list with one list per layer")
    if deployment.num_layers not in (None, len(layers)):
        raise InputError(f"has {len(layers)} layers; expected {deployment.num_layers}, the model's decoder layers")
    first = deployment.first_moe_layer or 0
    if first >= len(layers):
        raise InputError(f"has {len(layers)} layers; expected more than {first} dense ones")
    numbers = range(first, len(layers)) if deployment.moe_layers is None else deployment.moe_layers
    if numbers[-1] >= len(layers):
        raise InputError(f"has {len(layers)} layers, and no {numbers[-1]}; expected other {setting('moe_layers')}")
    moe_layers = {number: layers[number] for number in numbers}
    slots = len(layers[-1]) if isinstance(layers[-1], list) else 0
    return replace(placement_of(moe_layers, deployment.cluster(slots)), decoder_layers=tuple(moe_layers))


def encode_sglang_location(placement: Placement, deployment: Deployment) -> str:
    """Return the file's text: all decoder layers, one a line.

    Raises
    ------
    InputError
        If an expert or a slot is empty, or the layers do not fit into the model.
    """
    demand_every_slot(placement, "SGLang")
    demand_every_expert(placement, "SGLang")
    moe_layers = deployment.decoder_layers(placement)
    default = Placement.default(placement.cluster, placement.experts, layers=1).phy2log[0]
    rows = [default] * (deployment.num_layers or moe_layers[-1] + 1)
    for number, row in zip(moe_layers, placement.phy2log, strict=True):
        rows[number] = row
    lines = (json.dumps(row.tolist(), separators=(",", ":")) for row in rows)
    return f'{{"{KEY}": [\n  ' + ",\n  ".join(lines) + "\n]}\n"


def _has_loads(glimpse: Glimpse) -> bool:
    """Return whether loads are near the beginning too: a recording, with the map that was in force."""
    return any(word in glimpse.head for word in LOADS)


def _content(path: Path) -> Any:
    """Return what the file holds, a map that is a tensor as lists."""
    if not Glimpse.of(path).is_torch:
        return read_json(path)
    content = read_torch(path)
    if isinstance(content, dict) and is_tensor(content.get(KEY)):
        return content | {KEY: as_array(KEY, content[KEY], path).tolist()}
    return content
