"""The table of formats: how each is known, read and written.

A new format is a file beside this one and a line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equipoise.formats.csv_loads import encode_csv, is_csv, read_csv
from equipoise.formats.json_loads import is_json_loads, read_json_loads
from equipoise.formats.numpy_files import encode_numpy, is_numpy, read_numpy
from equipoise.formats.omni_infer_pattern import (
    encode_omni_infer_pattern,
    is_omni_infer_pattern,
    read_omni_infer_pattern,
)
from equipoise.formats.parquet_loads import encode_parquet, is_parquet, read_parquet
from equipoise.formats.placement_json import encode_placement_json, is_placement_json, read_placement_json
from equipoise.formats.sglang_dump import is_sglang_dump, read_sglang_dump
from equipoise.formats.sglang_location import encode_sglang_location, is_sglang_location, read_sglang_location
from equipoise.formats.sglang_passes import is_sglang_passes, read_sglang_passes
from equipoise.formats.tensorrt_llm_statistics import is_tensorrt_llm_statistics, read_tensorrt_llm_statistics
from equipoise.formats.tensorrt_llm_yaml import encode_tensorrt_llm_yaml, is_tensorrt_llm_yaml, read_tensorrt_llm_yaml
from equipoise.formats.vllm_ascend_map import encode_vllm_ascend_map, is_vllm_ascend_map, read_vllm_ascend_map
from equipoise.formats.vllm_window import is_vllm_window, read_vllm_window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from equipoise.formats.deployment import Deployment
    from equipoise.formats.glimpse import Glimpse
    from equipoise.loads import Loads
    from equipoise.placement import Placement


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
        What reads it; raises :class:`~equipoise.errors.InputError`.
    written : tuple of str
        How the files end that are written.
    encode : callable, optional
        What a file of it holds; missing where Equipoise does not write it.
    """

    suffixes: tuple[str, ...]
    detect: Callable[[Glimpse], bool]
    read: Callable[[Path], Loads]
    written: tuple[str, ...] = ()
    encode: Callable[[Loads], str | bytes] | None = None


@dataclass(frozen=True)
class PlacementFormat:
    """A format of placements.

    Attributes
    ----------
    suffixes, detect, read, written, encode
        As for :class:`LoadsFormat`; the engine takes files that end in one of ``written``, where there are any.
    """

    suffixes: tuple[str, ...]
    detect: Callable[[Glimpse], bool]
    read: Callable[[Path, Deployment], Placement]
    written: tuple[str, ...]
    encode: Callable[[Placement, Deployment], str | bytes]


# The first that detects a file reads it: what is more special comes before what is less.
LOADS: dict[str, LoadsFormat] = {
    "vllm-window": LoadsFormat((), is_vllm_window, read_vllm_window),
    "numpy": LoadsFormat((".npy", ".npz"), is_numpy, read_numpy, (".npz",), encode_numpy),
    "parquet": LoadsFormat((".parquet",), is_parquet, read_parquet, (".parquet",), encode_parquet),
    "csv": LoadsFormat((".csv",), is_csv, read_csv, (".csv",), encode_csv),
    "json": LoadsFormat((".json",), is_json_loads, read_json_loads),
    "sglang-dump": LoadsFormat((".pt",), is_sglang_dump, read_sglang_dump),
    "sglang-passes": LoadsFormat((), is_sglang_passes, read_sglang_passes),
    "tensorrt-llm-statistics": LoadsFormat((), is_tensorrt_llm_statistics, read_tensorrt_llm_statistics),
}
LOADS_WRITTEN = {name: known.encode for name, known in LOADS.items() if known.encode}

PLACEMENTS: dict[str, PlacementFormat] = {
    "equipoise": PlacementFormat((".json",), is_placement_json, read_placement_json, (), encode_placement_json),
    "sglang": PlacementFormat((".pt",), is_sglang_location, read_sglang_location, (".json",), encode_sglang_location),
    "tensorrt-llm": PlacementFormat(
        (".yaml", ".yml"), is_tensorrt_llm_yaml, read_tensorrt_llm_yaml, (".yaml", ".yml"), encode_tensorrt_llm_yaml
    ),
    "vllm-ascend": PlacementFormat((), is_vllm_ascend_map, read_vllm_ascend_map, (".json",), encode_vllm_ascend_map),
    "omni-infer": PlacementFormat(
        (".npy",), is_omni_infer_pattern, read_omni_infer_pattern, (".npy",), encode_omni_infer_pattern
    ),
}
