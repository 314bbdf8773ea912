"""Loads as a bare tensor, which torch saved or in ``.safetensors``: what Ascend's planners take, and people save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed, shown
from equipoise.formats.files.safetensors_files import opened_safetensors
from equipoise.formats.files.torch_files import as_array, is_tensor, read_torch
from equipoise.formats.loads.bare_numbers import loads_of_numbers
from equipoise.formats.sniffing import Glimpse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.loads import Loads

NAMES = ("counts", "loads", "load", "expert_load", "logical_expert_load", "workload", "tensor", "data")
"""What a tensor of loads is called where a dict or a file has names."""
A_TENSOR = b"\x80\x02ctorch._utils\n_rebuild_tensor"
"""How the pickle of a bare tensor begins."""


def is_tensor_loads(glimpse: Glimpse) -> bool:
    """Return whether it is a torch file with a bare tensor, or one of a name of loads, or any ``.safetensors``."""
    if glimpse.is_torch:
        return A_TENSOR in glimpse.head or any(map(glimpse.pickles, NAMES))
    return glimpse.is_safetensors


def read_tensor_loads(path: Path) -> Loads:
    """Read loads ``[experts]``, ``[layers, experts]`` or ``[windows, layers, experts]``, running no code.

    Raises
    ------
    InputError
        If torch or safetensors is not installed, the file is damaged, or it has several tensors and not one of a name
        in :data:`NAMES`.
    """
    return loads_of_numbers(_of_safetensors(path) if Glimpse.of(path).is_safetensors else _of_torch(path))


def _of_torch(path: Path) -> NDArray[Any]:
    content = read_torch(path)
    if isinstance(content, dict):
        name = _name_among([key for key in content if isinstance(key, str)])
        return as_array(name, content[name], path)
    if not is_tensor(content):
        raise InputError(f"holds {shown(content)}; expected a tensor [layers, experts] or [windows, layers, experts]")
    return as_array("the tensor", content, path)


def _of_safetensors(path: Path) -> NDArray[Any]:
    with opened_safetensors(path) as tensors:
        array: NDArray[Any] = tensors.get_tensor(_name_among(tensors.keys()))
        return array


def _name_among(names: Iterable[str]) -> str:
    """Return the only name of loads."""
    found = [name for name in names if name in NAMES]
    if len(found) != 1:
        raise InputError(f"holds {listed(names)}; expected a single tensor named {', '.join(NAMES)}")
    return found[0]
