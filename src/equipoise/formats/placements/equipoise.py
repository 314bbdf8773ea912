"""Equipoise's own placement file: JSON, one layer a line.

::

    {
     "format": "equipoise-placement",
     "version": 2,
     "cluster": {"gpus": 2, "nodes": 1, "slots_per_gpu": 2},
     "experts": 3,
     "groups": 1,
     "locality": "none",
     "off_node": 1.0,
     "physical_to_logical_map": [
      [0,1,2,0]
     ]
    }

``physical_to_logical_map`` is ``[layers][slots]``: the logical expert in each slot, as SGLang names it. Where GPUs are
dead, ``cluster`` lists them as ``"dead": [1]``, and their slots hold -1. ``decoder_layers``, the model's own number of
each layer, is there where it is known. Version 1 had neither that nor groups, locality and off_node.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from equipoise.cluster import Cluster
from equipoise.errors import InputError
from equipoise.formats.files.json_text import check_keys, read_json
from equipoise.formats.files.refusals import shown
from equipoise.formats.placements.slot_lists import check_slot_lists
from equipoise.placement import Placement

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.deployment import Deployment
    from equipoise.formats.sniffing import Glimpse

FORMAT = "equipoise-placement"
VERSION = 2
MAP = "physical_to_logical_map"
KEYS = {
    1: ("format", "version", "cluster", "experts", MAP),
    2: ("format", "version", "cluster", "experts", "groups", "locality", "off_node", MAP),
}
CLUSTER_COUNTS = ("gpus", "nodes", "slots_per_gpu")


def is_placement_json(glimpse: Glimpse) -> bool:
    """Return whether the file says of itself that it is a placement, valid or not."""
    return f'"{FORMAT}"'.encode() in glimpse.head


def encode_placement_json(placement: Placement, deployment: Deployment) -> str:
    """Return the file's text; it says all that there is to say."""
    cluster = {key: value for key, value in asdict(placement.cluster).items() if value != ()}
    head = {
        "format": FORMAT,
        "version": VERSION,
        "cluster": cluster,
        "experts": placement.experts,
        "groups": placement.groups,
        "locality": placement.locality,
        "off_node": placement.off_node,
        "decoder_layers": deployment.known_layers(placement),
    }
    lines = [f' "{key}": {json.dumps(value)}' for key, value in head.items() if value is not None]
    layers = (json.dumps(layer, separators=(",", ":")) for layer in placement.phy2log.tolist())
    return "{\n" + ",\n".join([*lines, f' "{MAP}": [\n  ' + ",\n  ".join(layers) + "\n ]"]) + "\n}\n"


def read_placement_json(path: Path, _: Deployment) -> Placement:
    """Read a placement and check it.

    Raises
    ------
    InputError
        If the file is not JSON, not a placement of this version, or the placement in it is not valid.
    """
    placement = _placement(read_json(path))
    placement.validate()
    return placement


def _placement(content: Any) -> Placement:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f'not a placement; expected a JSON object with "format": "{FORMAT}"')
    version = content.get("version")
    if type(version) is not int or version not in KEYS:
        raise InputError(f"version is {shown(version)}; this Equipoise reads versions 1 to {VERSION}")
    check_keys("the placement", content, KEYS[version], optional=("decoder_layers",) if version > 1 else ())
    check_keys("cluster", content["cluster"], CLUSTER_COUNTS, optional=("dead",))
    for key in CLUSTER_COUNTS:
        _check_count(f"cluster: {key}", content["cluster"][key])
    dead = content["cluster"].get("dead", [])
    if not isinstance(dead, list):
        raise InputError(f"cluster: dead is {shown(dead)}; expected a list of GPUs")
    _check_count("experts", content["experts"])
    _check_map(content[MAP], content["experts"], content["cluster"]["gpus"])
    numbers = content.get("decoder_layers", [])
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise InputError(f"decoder_layers is {shown(numbers)}; expected a list of whole numbers")
    return Placement(
        content[MAP],
        Cluster(**content["cluster"]),
        content["experts"],
        groups=content.get("groups", 1),
        locality=content.get("locality", "none"),
        off_node=content.get("off_node", 1.0),
        decoder_layers=content.get("decoder_layers"),
    )


def _check_count(name: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise InputError(f"{name} is {shown(value)}; expected a whole number of at least 1")


def _check_map(layers: Any, experts: int, gpus: int) -> None:
    """Refuse what is no ``[layers][slots]`` of experts, and numbers that no such map can stand for."""
    if not isinstance(layers, list) or not layers:
        raise InputError(f"physical_to_logical_map is {shown(layers)}; expected a list with one list per layer")
    check_slot_lists(dict(enumerate(layers)), experts, lowest=-1)
    slots = len(layers[0])
    if max(experts, gpus) > slots:
        raise InputError(f"{experts} experts on {gpus} GPUs have {slots} slots; expected at least as many slots")
