"""vLLM's window of loads, saved with the map in force: an ``.npz`` archive, or a dict that torch saved.

The names are those of vLLM's own state: ``expert_load_window`` ``[steps, layers, slots]``, the token selections that
each slot served in each step, and ``physical_to_logical_map`` ``[layers, slots]``, -1 where a slot holds no expert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.numpy_files import opened_archive
from equipoise.formats.files.refusals import listed
from equipoise.formats.files.size_guard import check_numbers
from equipoise.formats.files.torch_files import as_array, read_torch
from equipoise.formats.loads.counts import checked_map, logical_counts, recorded_steps
from equipoise.formats.sniffing import Glimpse
from equipoise.loads import Loads

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WINDOW = "expert_load_window"
MAP = "physical_to_logical_map"


def is_vllm_window(glimpse: Glimpse) -> bool:
    """Return whether it is an archive or a torch file with the window in it."""
    return f"{WINDOW}.npy" in glimpse.names or glimpse.pickles(WINDOW)


def read_vllm_window(path: Path) -> Loads:
    """Read the window's recorded steps as windows of loads, slots added up to experts by the map.

    The window is a ring buffer: steps of nothing but zeros were never recorded and are dropped; once it has wrapped,
    the others are not in the order of time.

    Raises
    ------
    InputError
        If the file is damaged, lacks one of the two, or they do not fit each other.
    """
    counts, phy2log = _from_torch(path) if Glimpse.of(path).is_torch else _from_archive(path)
    if counts.ndim != 3:
        raise InputError(f"{WINDOW} has shape {list(counts.shape)}; expected [steps, layers, slots]")
    counts = recorded_steps(counts)
    for array in (counts, phy2log):
        check_numbers(array.size, path)
    return Loads(logical_counts(counts, checked_map(phy2log)))


def _from_archive(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    with opened_archive(path) as archive:
        _demand_both(archive.names)
        return archive.read(WINDOW), archive.read(MAP)


def _from_torch(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    content = read_torch(path)
    _demand_both(list(content) if isinstance(content, dict) else [])
    return as_array(WINDOW, content[WINDOW], path), as_array(MAP, content[MAP], path)


def _demand_both(names: list[Any]) -> None:
    if WINDOW not in names or MAP not in names:
        raise InputError(f"holds {listed(names)}; expected {WINDOW} and {MAP}")
