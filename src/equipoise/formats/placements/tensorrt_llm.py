"""TensorRT-LLM's ``moe_config.load_balancer`` file for a static placement, YAML.

::

    num_slots: 4
    layer_updates_per_iter: 0
    initial_global_assignments:
      3: [0,1,2,0]

``initial_global_assignments`` has the expert in each slot, by the number of the decoder layer, without dense layers.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed, shown
from equipoise.formats.files.yaml_text import read_yaml
from equipoise.formats.placements.requirements import demand_every_expert, demand_every_slot
from equipoise.formats.placements.slot_lists import placement_of
from equipoise.placement import Placement

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.deployment import Deployment
    from equipoise.formats.sniffing import Glimpse

KEYS = ("num_slots", "layer_updates_per_iter", "initial_global_assignments")
A_KEY = re.compile(
    rb"""(?:^|[\n{,])[ \t"']*(?:num_slots|layer_updates_per_iter|initial_global_assignments)["']?[ \t]*:"""
)


def is_tensorrt_llm_yaml(glimpse: Glimpse) -> bool:
    """Return whether one of the keys begins a line."""
    return A_KEY.search(glimpse.head) is not None


def read_tensorrt_llm_yaml(path: Path, deployment: Deployment) -> Placement:
    """Read the layers of the file in the order of their numbers, for ``deployment.gpus`` GPUs.

    Raises
    ------
    InputError
        If PyYAML is not installed, the file is damaged, has another key, which TensorRT-LLM refuses, or no placement,
        or the deployment does not fit.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not {"num_slots", "initial_global_assignments"} <= set(content):
        found = f"the keys {listed(content)}" if isinstance(content, dict) else shown(content)
        raise InputError(f"holds {found}; expected num_slots and initial_global_assignments")
    unknown = [key for key in content if key not in KEYS]
    if unknown:
        raise InputError(f"has {listed(unknown)}; TensorRT-LLM takes {', '.join(KEYS)} only")
    layers, slots = content["initial_global_assignments"], content["num_slots"]
    if not isinstance(slots, int) or slots < 1:
        raise InputError(f"num_slots is {shown(slots)}; expected a whole number of at least 1")
    if not isinstance(layers, dict) or not layers:
        raise InputError(f"initial_global_assignments is {shown(layers)}; expected a list of experts for each layer")
    for layer, row in layers.items():
        if not isinstance(layer, int) or layer < 0:
            raise InputError(f"initial_global_assignments has the layer {shown(layer)}; expected a whole number")
        if not isinstance(row, list) or len(row) != slots:
            raise InputError(f"layer {layer} is {shown(row)}; expected a list of {slots} experts, one for each slot")
    in_order = dict(sorted(layers.items()))
    return replace(placement_of(in_order, deployment.cluster(slots)), decoder_layers=tuple(in_order))


def encode_tensorrt_llm_yaml(placement: Placement, deployment: Deployment) -> str:
    """Return the file's text, one layer a line.

    Layers of the model behind the last, which draft tokens, get the default layout: TensorRT-LLM looks them up too.

    Raises
    ------
    InputError
        If an expert or a slot is empty, or the layers do not fit into the model.
    """
    demand_every_slot(placement, "TensorRT-LLM")
    demand_every_expert(placement, "TensorRT-LLM")
    lines = [f"num_slots: {placement.cluster.slots}", "layer_updates_per_iter: 0", "initial_global_assignments:"]
    numbers = deployment.decoder_layers(placement)
    layers = dict(zip(numbers, placement.phy2log.tolist(), strict=True))
    default = Placement.default(placement.cluster, placement.experts, layers=1).phy2log[0].tolist()
    layers |= dict.fromkeys(range(numbers[-1] + 1, deployment.num_layers or 0), default)
    lines += [f"  {number}: {json.dumps(row, separators=(',', ':'))}" for number, row in layers.items()]
    return "\n".join(lines) + "\n"
