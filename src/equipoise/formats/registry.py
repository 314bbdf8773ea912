"""The table of formats, and which of them a file is read or written in: the one asked for, else by content or suffix.

A new format is a file in loads/ or placements/, and a line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from equipoise.errors import InputError, check_choice, setting
from equipoise.formats.files.atomic import STANDARD_OUTPUT
from equipoise.formats.loads.csv_loads import encode_csv, is_csv, is_in_long_form, read_csv
from equipoise.formats.loads.csv_ranks import is_csv_ranks, read_csv_ranks
from equipoise.formats.loads.json_loads import is_json_loads, read_json_loads
from equipoise.formats.loads.numpy_loads import encode_numpy, is_numpy, read_numpy
from equipoise.formats.loads.parquet_loads import encode_parquet, is_parquet, read_parquet
from equipoise.formats.loads.routed_experts import is_routed_experts, read_routed_experts
from equipoise.formats.loads.sglang_dump import is_sglang_dump, read_sglang_dump
from equipoise.formats.loads.sglang_passes import is_sglang_passes, read_sglang_passes
from equipoise.formats.loads.tensor_loads import is_tensor_loads, read_tensor_loads
from equipoise.formats.loads.tensorrt_llm_statistics import is_tensorrt_llm_statistics, read_tensorrt_llm_statistics
from equipoise.formats.loads.tokens_per_expert import is_tokens_per_expert, read_tokens_per_expert
from equipoise.formats.loads.vllm_dump import is_vllm_dump, read_vllm_dump
from equipoise.formats.loads.vllm_window import is_vllm_window, read_vllm_window
from equipoise.formats.placements.equipoise import encode_placement_json, is_placement_json, read_placement_json
from equipoise.formats.placements.omni_infer import (
    encode_omni_infer_pattern,
    is_omni_infer_pattern,
    read_omni_infer_pattern,
)
from equipoise.formats.placements.sglang import encode_sglang_location, is_sglang_location, read_sglang_location
from equipoise.formats.placements.tensorrt_llm import (
    encode_tensorrt_llm_yaml,
    is_tensorrt_llm_yaml,
    read_tensorrt_llm_yaml,
)
from equipoise.formats.placements.vllm_ascend import encode_vllm_ascend_map, is_vllm_ascend_map, read_vllm_ascend_map
from equipoise.formats.sniffing import Glimpse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from equipoise.formats.deployment import Deployment
    from equipoise.loads import Loads
    from equipoise.placement import Placement
    from equipoise.timing.known_models import Model


def _never(path: Path) -> bool:
    return False


def _always(path: Path) -> bool:
    return True


@dataclass(frozen=True)
class LoadsFormat:
    """A format of recorded loads.

    Attributes
    ----------
    suffixes : tuple of str
        How its files usually end: what to take a file for whose content says nothing.
    detect : callable
        Whether a file shows itself to be of this format.
    read : callable
        What reads it, and may need to know the model; raises :class:`~equipoise.errors.InputError`.
    written : tuple of str
        How the files end that are written.
    encode : callable, optional
        What a file of it holds; missing where Equipoise does not write it.
    bare : bool
        Whether its files may hold nothing but numbers, which a map of experts could be as well.
    fills : callable
        Whether a file leaves out experts without load, so that its last ones may be missing.
    folder : bool
        Whether it is a folder as a whole, with the files of all ranks.
    """

    suffixes: tuple[str, ...]
    detect: Callable[[Glimpse], bool]
    read: Callable[[Path, Model | None], Loads]
    written: tuple[str, ...] = ()
    encode: Callable[[Loads], str | bytes] | None = None
    bare: bool = False
    fills: Callable[[Path], bool] = _never
    folder: bool = False


@dataclass(frozen=True)
class PlacementFormat:
    """A format of placements.

    Attributes
    ----------
    engine : str
        Whose format it is.
    suffixes, detect, read, written, encode
        As for :class:`LoadsFormat`; the engine takes files that end in one of ``written``, where there are any.
    numbered : bool
        Whether its files have the numbers that the model has for the layers.
    padded : bool
        Whether they have layers that were not planned for, too.
    """

    engine: str
    suffixes: tuple[str, ...]
    detect: Callable[[Glimpse], bool]
    read: Callable[[Path, Deployment], Placement]
    written: tuple[str, ...]
    encode: Callable[[Placement, Deployment], str | bytes]
    numbered: bool = False
    padded: bool = False


def _by_itself(read: Callable[[Path], Loads]) -> Callable[[Path, Model | None], Loads]:
    """Return a reader of files that say all themselves, whatever the model is."""
    return lambda path, model: read(path)


# The first that detects a file reads it: what is more special comes before what is less.
LOADS: dict[str, LoadsFormat] = {
    "vllm-window": LoadsFormat((), is_vllm_window, _by_itself(read_vllm_window)),
    "numpy": LoadsFormat((".npy", ".npz"), is_numpy, _by_itself(read_numpy), (".npz",), encode_numpy, bare=True),
    "parquet": LoadsFormat(
        (".parquet",), is_parquet, _by_itself(read_parquet), (".parquet",), encode_parquet, fills=_always
    ),
    "csv": LoadsFormat((".csv",), is_csv, read_csv, (".csv",), encode_csv, bare=True, fills=is_in_long_form),
    "csv-ranks": LoadsFormat((), is_csv_ranks, read_csv_ranks, fills=_always, folder=True),
    "routed-experts": LoadsFormat((".jsonl",), is_routed_experts, read_routed_experts, fills=_always),
    "vllm-dump": LoadsFormat((), is_vllm_dump, _by_itself(read_vllm_dump)),
    "json": LoadsFormat((".json",), is_json_loads, _by_itself(read_json_loads), bare=True),
    "sglang-dump": LoadsFormat((".pt",), is_sglang_dump, _by_itself(read_sglang_dump)),
    "sglang-passes": LoadsFormat((), is_sglang_passes, _by_itself(read_sglang_passes), folder=True),
    "tensorrt-llm-statistics": LoadsFormat(
        (), is_tensorrt_llm_statistics, _by_itself(read_tensorrt_llm_statistics), folder=True
    ),
    "tokens-per-expert": LoadsFormat((), is_tokens_per_expert, _by_itself(read_tokens_per_expert)),
    "tensor": LoadsFormat((".pth", ".safetensors"), is_tensor_loads, _by_itself(read_tensor_loads), bare=True),
}
LOADS_WRITTEN = {name: known.encode for name, known in LOADS.items() if known.encode}

PLACEMENTS: dict[str, PlacementFormat] = {
    "equipoise": PlacementFormat(
        "Equipoise", (".json",), is_placement_json, read_placement_json, (), encode_placement_json, numbered=True
    ),
    "sglang": PlacementFormat(
        "SGLang",
        (".pt",),
        is_sglang_location,
        read_sglang_location,
        (".json",),
        encode_sglang_location,
        numbered=True,
        padded=True,
    ),
    "tensorrt-llm": PlacementFormat(
        "TensorRT-LLM",
        (".yaml", ".yml"),
        is_tensorrt_llm_yaml,
        read_tensorrt_llm_yaml,
        (".yaml", ".yml"),
        encode_tensorrt_llm_yaml,
        numbered=True,
        padded=True,
    ),
    "vllm-ascend": PlacementFormat(
        "vLLM-Ascend", (), is_vllm_ascend_map, read_vllm_ascend_map, (".json",), encode_vllm_ascend_map
    ),
    "omni-infer": PlacementFormat(
        "omni-infer", (".npy",), is_omni_infer_pattern, read_omni_infer_pattern, (".npy",), encode_omni_infer_pattern
    ),
}

Format = TypeVar("Format", LoadsFormat, PlacementFormat)


def format_to_read(path: Path, formats: Mapping[str, Format], asked: str | None) -> Format:
    """Return the format that is asked for, else the one that the content shows, else the one that the suffix says.

    Raises
    ------
    InputError
        If the one asked for is not known, or nothing says which it is.
    """
    if asked is not None:
        check_choice(setting("format"), asked, formats)
        return formats[asked]
    glimpse = Glimpse.of(path)
    by_content = [known for known in formats.values() if known.detect(glimpse)]
    by_suffix = [known for known in formats.values() if path.suffix.lower() in known.suffixes and not path.is_dir()]
    if not by_content and not by_suffix:
        raise InputError(
            f"of no format that its content shows; say which it is ({setting('format')}): {', '.join(formats)}"
        )
    return (by_content or by_suffix)[0]


def placement_format_shown(glimpse: Glimpse) -> str | None:
    """Return the name of the format of placements that a file shows itself to be of, if any."""
    return next((name for name, known in PLACEMENTS.items() if known.detect(glimpse)), None)


def refuse_a_placement(path: Path) -> None:
    """Refuse a file, as loads, that shows itself to be a placement.

    Raises
    ------
    InputError
        Naming the format of the placement.
    """
    name = placement_format_shown(Glimpse.of(path))
    if name is not None:
        raise InputError(
            f"is a placement, in the format {name}, not loads; if it is loads, say in which format "
            f"({setting('format')})"
        )


def loads_format_to_write(path: Path, asked: str | None) -> str:
    """Return the name of the format that is asked for, else of the one whose files end like this.

    Raises
    ------
    InputError
        If it is not written, or its files end otherwise.
    """
    written = {name: LOADS[name] for name in LOADS_WRITTEN}
    if asked is not None:
        return _fitting(path, asked, written)
    by_suffix = [name for name, known in written.items() if path.name.endswith(known.written)]
    if not by_suffix:
        endings = ", ".join(ending for known in written.values() for ending in known.written)
        raise InputError(f"loads are not written to such a file; expected one that ends in {endings}")
    return by_suffix[0]


def placement_format_to_write(path: Path, asked: str | None) -> str:
    """Return the name of the format that is asked for, else of the only engine whose files end like this, else our own.

    Raises
    ------
    InputError
        If it is not known, the engine's files end otherwise, or no placement's files end like this.
    """
    if asked is not None:
        return _fitting(path, asked, PLACEMENTS)
    if any(path.name.endswith(LOADS[name].written) for name in LOADS_WRITTEN):
        raise InputError("such files hold loads, not a placement; expected one that ends in .json, .yaml or .npy")
    by_suffix = [name for name, known in PLACEMENTS.items() if path.name.endswith(known.written)]
    if path == STANDARD_OUTPUT:
        return "equipoise"
    if not by_suffix:
        raise InputError("no placement's files end so; expected .json, .yaml or .npy, or the name of a format")
    return by_suffix[0] if len(by_suffix) == 1 else "equipoise"


def _fitting(path: Path, name: str, formats: Mapping[str, Format]) -> str:
    """Return the name, if it is a format whose files may have this path."""
    check_choice("format", name, formats)
    endings = formats[name].written
    if endings and path != STANDARD_OUTPUT and not path.name.endswith(endings):
        raise InputError(f"{name} takes files that end in {' or '.join(endings)}")
    return name
