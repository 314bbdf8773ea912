"""Snapshots of vLLM's loads as JSON: one object with ``snapshots``, a list of them, or one on each line.

A snapshot has the loads of the slots, ``[layers, slots]``, and the map in force then, ``physical_to_logical_map``,
which a re-plan changes in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.json_text import read_json_documents
from equipoise.formats.files.refusals import listed, shown
from equipoise.formats.files.size_guard import check_numbers
from equipoise.formats.loads.counts import checked_map, logical_counts
from equipoise.formats.loads.number_lists import array_of_lists
from equipoise.loads import Loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.formats.sniffing import Glimpse

SNAPSHOTS = "snapshots"
MAP = "physical_to_logical_map"
LOADS = ("window_expert_load", "expert_load_window", "physical_expert_load", "expert_load", "latest_expert_load")
"""What the loads are called; a snapshot may have several, of which the first is of the longest stretch."""
AXES = ("layer", "slot")


def is_vllm_dump(glimpse: Glimpse) -> bool:
    """Return whether it is JSON that names snapshots, or loads of slots, near its beginning."""
    keys = (f'"{key}"'.encode() for key in (SNAPSHOTS, *LOADS))
    return glimpse.opens_with("{", "[") and any(key in glimpse.head for key in keys)


def read_vllm_dump(path: Path) -> Loads:
    """Read the snapshots as windows, in rising order of their steps, each added up by its own map.

    Ranks that share a file write a step more than once: it counts once. A label is the step.

    Raises
    ------
    InputError
        If the file is not JSON, a snapshot lacks its loads or its map, or a step is there with different ones.
    """
    windows: dict[Any, NDArray[Any]] = {}
    for place, snapshot in enumerate(_snapshots(path)):
        step = snapshot.get("step", f"snapshot {place}")
        counts = _logical(f"snapshot {place}", snapshot)
        if counts.shape != next(iter(windows.values()), counts).shape:
            raise InputError(f"snapshot {place} has layers x experts {list(counts.shape)}; expected those of the first")
        if not np.array_equal(windows.setdefault(step, counts), counts):
            raise InputError(f"step {shown(step)} is there twice, with different loads; expected one for each step")
        check_numbers(len(windows) * counts.size, path)
    if not windows:
        raise InputError("holds no JSON; expected snapshots")
    steps = sorted(windows) if all(type(step) is int for step in windows) else list(windows)
    return Loads(np.stack([windows[step] for step in steps]), tuple(str(step) for step in steps))


def _snapshots(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the snapshots of all documents, each with what its document says of all of them."""
    for document in read_json_documents(path):
        about = document if isinstance(document, dict) else {SNAPSHOTS: document}
        found = about.get(SNAPSHOTS, [{}])
        if not isinstance(found, list) or not found:
            raise InputError(f"{SNAPSHOTS} is {shown(found)}; expected a list of them")
        for place, snapshot in enumerate(found):
            if not isinstance(snapshot, dict):
                raise InputError(f"snapshot {place} is {shown(snapshot)}; expected an object with loads and a map")
            yield about | snapshot


def _logical(name: str, snapshot: dict[str, Any]) -> NDArray[Any]:
    """Return the loads ``[layers, experts]`` of a snapshot."""
    key = next((key for key in LOADS if key in snapshot), None)
    if key is None or MAP not in snapshot:
        raise InputError(f"{name} has {listed(snapshot)}; expected {LOADS[0]} and {MAP}")
    try:
        counts, phy2log = (array_of_lists(snapshot[part], AXES) for part in (key, MAP))
        return _of_experts(counts, checked_map(phy2log), snapshot.get("num_logical_experts"))
    except InputError as error:
        raise InputError(f"{name}: ", *error.args) from None


def _of_experts(counts: NDArray[Any], phy2log: NDArray[np.int64], experts: Any) -> NDArray[Any]:
    logical = logical_counts(counts, phy2log)
    if experts not in (None, logical.shape[1]):
        raise InputError(
            f"the map has {logical.shape[1]} experts; expected {shown(experts)}, as num_logical_experts has"
        )
    return logical
