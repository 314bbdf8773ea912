"""The counters that training keeps in a model's routers, by their names: saved by torch, or as safetensors.

Megatron-core has ``decoder.layers.3.mlp.router.local_tokens_per_expert``, torchtitan
``layers.3.moe.tokens_per_expert_E``: the token selections of each expert ``[experts]`` since the last reset.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed, shown
from equipoise.formats.files.safetensors_files import opened_safetensors
from equipoise.formats.files.size_guard import check_numbers
from equipoise.formats.files.torch_files import as_array, read_torch
from equipoise.formats.sniffing import Glimpse
from equipoise.loads import Loads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

COUNTER = b"tokens_per_expert"
NAME = re.compile(r"(?:.*\.)?(?:layers|blocks?|h)\.(\d{1,6})\.(?:.*\.)?\w*tokens_per_expert\w*")
SUCH_AS = "layers.3.moe.tokens_per_expert_E"


def is_tokens_per_expert(glimpse: Glimpse) -> bool:
    """Return whether it is a torch or a safetensors file with such a name near its beginning."""
    return COUNTER in glimpse.head and (glimpse.is_torch or glimpse.is_safetensors)


def read_tokens_per_expert(path: Path) -> Loads:
    """Read the counters ``[experts]`` of all layers, in the order of the decoder layers.

    A dict of names, or a file of safetensors, is one window; a list of such dicts has one in each. What else they
    hold, such as weights, is left out.

    Raises
    ------
    InputError
        If torch or safetensors is not installed, the file is damaged, has no counters or two of the same layer, or
        windows or layers differ in shape.
    """
    windows = [_of_safetensors(path)] if Glimpse.of(path).is_safetensors else _of_torch(path)
    shape = {number: counts.shape for number, counts in windows[0].items()}
    experts = next(iter(shape.values()))[0]
    for place, window in enumerate(windows):
        for number, counts in window.items():
            if counts.shape != (experts,):
                raise InputError(f"window {place}, layer {number} has {counts.shape[0]} experts; expected {experts}")
        if window.keys() != shape.keys():
            differing = min(window.keys() ^ shape.keys())
            raise InputError(f"window {place} differs from window 0 in layer {differing}; expected the same layers")
    check_numbers(len(windows) * len(shape) * experts, path)
    layers = sorted(shape)
    return Loads(np.stack([[window[number] for number in layers] for window in windows]), decoder_layers=layers)


def _of_torch(path: Path) -> list[dict[int, NDArray[Any]]]:
    content = read_torch(path)
    dumps = content if isinstance(content, list) else [content]
    if not dumps or not all(isinstance(dump, dict) for dump in dumps):
        raise InputError(f"holds {shown(content)}; expected a dict of tensors such as {SUCH_AS}, or a list of dicts")
    return [_by_layer({name: dump[name] for name in _layers(dump)}, path) for dump in dumps]


def _of_safetensors(path: Path) -> dict[int, NDArray[Any]]:
    with opened_safetensors(path) as tensors:
        found = {name: tensors.get_tensor(name) for name in _layers(dict.fromkeys(tensors.keys()))}
    return {number: _vector(name, found[name]) for name, number in _layers(found).items()}


def _by_layer(found: Mapping[str, Any], path: Path) -> dict[int, NDArray[Any]]:
    return {number: _vector(name, as_array(name, found[name], path)) for name, number in _layers(found).items()}


def _layers(names: Mapping[Any, Any]) -> dict[str, int]:
    """Return the decoder layer of each name that is a counter's."""
    matches = {name: NAME.fullmatch(name) for name in names if isinstance(name, str)}
    layers = {name: int(match[1]) for name, match in matches.items() if match}
    if not layers:
        raise InputError(f"holds {listed(names)}; expected counters such as {SUCH_AS}")
    first: dict[int, str] = {}
    for name, number in layers.items():
        if first.setdefault(number, name) != name:
            raise InputError(f"{first[number]} and {name} are both of layer {number}; expected one of them")
    return layers


def _vector(name: str, counts: NDArray[Any]) -> NDArray[Any]:
    if counts.ndim != 1 or not counts.size or counts.dtype.kind not in "uif":
        raise InputError(f"{name} is {counts.dtype} {list(counts.shape)}; expected counts [experts]")
    return counts
