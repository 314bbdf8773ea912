"""TensorRT-LLM's expert statistics: a folder with ``meta_info.json`` and a ``rank*.safetensors`` of each rank.

The keys of these are ``{iteration}_{layer}``, by the number of the decoder layer; each is ``[experts]``, the token
selections that this rank routed to each expert.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.json_text import read_json
from equipoise.formats.files.refusals import listed, naming, shown
from equipoise.formats.files.safetensors_files import opened_safetensors
from equipoise.formats.files.size_guard import check_numbers
from equipoise.loads import Loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.formats.sniffing import Glimpse

META = "meta_info.json"
RANK = re.compile(r"rank(0|[1-9][0-9]{0,5})\.safetensors")
KEY = re.compile(r"(0|[1-9][0-9]{0,17})_(0|[1-9][0-9]{0,5})")


def is_tensorrt_llm_statistics(glimpse: Glimpse) -> bool:
    """Return whether it is a folder with statistics of a rank, or with what describes them."""
    return not glimpse.head and (META in glimpse.names or any(RANK.fullmatch(name) for name in glimpse.names))


def read_tensorrt_llm_statistics(path: Path) -> Loads:
    """Read a folder with the files of all ranks, added up; each iteration becomes a window, in rising order.

    Layers are taken in rising order too; dense layers are not among them.

    Raises
    ------
    InputError
        If safetensors is not installed, a file is damaged or missing, or a rank has not all iterations and layers.
    """
    experts = _experts(path / META)
    found = ((RANK.fullmatch(file.name), file) for file in path.iterdir())
    files = {int(name[1]): file for name, file in found if name}
    if not files or sorted(files) != list(range(len(files))):
        raise InputError(f"holds ranks {listed(sorted(files))}; expected rank*.safetensors of all ranks, from 0 on")
    total: NDArray[Any] | None = None
    keys: list[tuple[int, int]] = []
    for rank in range(len(files)):
        with naming(Path(files[rank].name)):
            counts = _counts(files[rank], experts)
            if total is not None and sorted(counts) != keys:
                differing = sorted({*counts} ^ {*keys})[0]
                raise InputError(
                    f"differs from rank 0 in iteration {differing[0]}, layer {differing[1]}; expected both to have it"
                )
            keys = sorted(counts)
            stacked = np.stack([counts[key] for key in keys])
        total = stacked if total is None else total + stacked
    iterations, layers = (sorted({key[axis] for key in keys}) for axis in (0, 1))
    missing = next(((i, layer) for i in iterations for layer in layers if (i, layer) not in counts), None)
    if missing:
        raise InputError(
            f"has no counts for iteration {missing[0]}, layer {missing[1]}; expected all layers in each iteration"
        )
    return Loads(np.asarray(total).reshape(len(iterations), len(layers), experts), decoder_layers=layers)


def _experts(path: Path) -> int:
    """Return the number of experts that ``meta_info.json`` names."""
    with naming(Path(path.name)):
        meta = read_json(path)
        experts = meta.get("num_experts") if isinstance(meta, dict) else None
        if type(experts) is not int or experts < 1:
            raise InputError(f"num_experts is {shown(experts)}; expected the number of experts")
        return experts


def _counts(file: Path, experts: int) -> dict[tuple[int, int], NDArray[Any]]:
    """Return the counts ``[experts]`` of one rank, by iteration and layer."""
    counts = {}
    with opened_safetensors(file) as tensors:
        names = list(tensors.keys())
        check_numbers(len(names) * experts, file)
        for name in names:
            counts[_key(name)] = _vector(name, tensors.get_tensor(name), experts)
    if not counts:
        raise InputError("holds no counts; expected them under the keys {iteration}_{layer}")
    return counts


def _key(name: str) -> tuple[int, int]:
    parts = KEY.fullmatch(name)
    if not parts:
        raise InputError(f"has the key {shown(name)}; expected {{iteration}}_{{layer}}, such as 100_3")
    return int(parts[1]), int(parts[2])


def _vector(name: str, counts: NDArray[Any], experts: int) -> NDArray[Any]:
    if counts.shape != (experts,) or counts.dtype.kind not in "uif":
        raise InputError(f"{name} is {counts.dtype} {list(counts.shape)}; expected counts [{experts}]")
    return counts
