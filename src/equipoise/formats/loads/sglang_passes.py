"""Recordings of SGLang's expert distribution recorder in the modes ``per_pass`` and ``per_token``: a folder of ``.pt``.

Every rank writes a file with a record of each forward pass, ``global_physical_count`` ``[layers, slots]``: what it sent
to each slot; in mode ``per_token`` with some backends only ``topk_ids_of_layer`` ``[layers, tokens, top_k]``, the
slots that each token picked. ``last_physical_to_logical_map`` says which expert each slot held when the recording
ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed, naming, shown
from equipoise.formats.files.size_guard import check_numbers
from equipoise.formats.files.torch_files import as_array, read_torch
from equipoise.formats.loads.counts import checked_map, logical_counts
from equipoise.formats.sniffing import Glimpse
from equipoise.loads import Loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PICKS = "topk_ids_of_layer"
"""What a token picked: all that some backends leave of a pass in mode ``per_token``."""


def is_sglang_passes(glimpse: Glimpse) -> bool:
    """Return whether it is a folder of torch files, or one file of such a folder."""
    if glimpse.head:
        return glimpse.pickles("records")
    recorded = [name for name in glimpse.names if name.endswith(".pt")]
    return glimpse.path.is_dir() and bool(recorded) and Glimpse.of(glimpse.path / recorded[0]).pickles("records")


def read_sglang_passes(path: Path) -> Loads:
    """Read a folder with the files of all ranks; each forward pass becomes a window, in rising order.

    Ranks are added up, and slots to experts by the map of their own file. Passes that a rank did not record, as the
    first and last may be, are left out.

    Raises
    ------
    InputError
        If torch is not installed, a file is damaged or lacks something, a rank's file is missing, a pass is there
        twice, or none is complete.
    """
    if not path.is_dir():
        raise InputError("is the recording of one rank; give the folder that holds the files of all ranks")
    files = sorted(path.glob("*.pt"))
    if not files:
        raise InputError("holds no .pt files; expected one of every rank")
    return read_passes_of(files)


def read_passes_of(files: Sequence[Path]) -> Loads:
    """Read the files of all ranks; :func:`read_sglang_passes` says how.

    Raises
    ------
    InputError
        As that.
    """
    loads: dict[int, NDArray[Any]] = {}
    seen: set[tuple[int, int, str]] = set()
    for file in files:
        with naming(Path(file.name)):
            for number, rank, gatherer, counts in _records(file):
                if (number, rank, gatherer) in seen:
                    raise InputError(
                        f"has pass {number} of rank {rank} once more; expected one recording in the folder"
                    )
                if loads and counts.shape != next(iter(loads.values())).shape:
                    raise InputError(f"has {_shape(counts)}; expected as many layers and experts as in the other files")
                if number not in loads:  # each file by itself may ask for little, and there may be many
                    check_numbers((len(loads) + 1) * counts.size, files)
                seen.add((number, rank, gatherer))
                loads[number] = loads.get(number, 0) + counts
    return Loads(np.stack([loads[number] for number in _complete(seen)], dtype=np.float64))


def _records(file: Path) -> Iterator[tuple[int, int, str, NDArray[Any]]]:
    """Yield pass, rank, gatherer and loads ``[layers, experts]`` of each record in a file."""
    dump = read_torch(file)
    if not isinstance(dump, dict) or not isinstance(records := dump.get("records"), list):
        found = f"the keys {listed(dump)}" if isinstance(dump, dict) else type(dump).__name__
        raise InputError(f"holds {found}; expected records and last_physical_to_logical_map")
    phy2log = checked_map(as_array("last_physical_to_logical_map", dump.get("last_physical_to_logical_map"), file))
    check_numbers(len(records) * phy2log.size, file)
    for place, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"records[{place}] is {shown(record)}; expected a record")
        number, rank = (_number(record, key, place) for key in ("forward_pass_id", "rank"))
        name = f"records[{place}]: global_physical_count"
        if "global_physical_count" not in record and PICKS in record:
            picks = as_array(f"records[{place}]: {PICKS}", record[PICKS], file)
            counts = _counts_of_picks(f"records[{place}]: {PICKS}", picks, phy2log.shape)
        else:
            counts = as_array(name, record.get("global_physical_count"), file)
        if counts.ndim != 2:
            raise InputError(f"{name} has shape {list(counts.shape)}; expected [layers, slots]")
        yield number, rank, _gatherer(record, place), logical_counts(counts, phy2log)


def _counts_of_picks(name: str, picks: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return how often each slot was picked ``[layers, slots]``, of picks ``[layers, tokens, top_k]``; -1 is none."""
    layers, slots = shape
    if picks.ndim != 3 or picks.dtype.kind not in "iu" or len(picks) != layers:
        raise InputError(
            f"{name} is {picks.dtype} {list(picks.shape)}; expected whole numbers [{layers}, tokens, top_k]"
        )
    bad = np.argwhere((picks < -1) | (picks >= slots))
    if len(bad):
        layer, token, pick = (int(i) for i in bad[0])
        raise InputError(
            f"{name}: layer {layer}, token {token} picked slot {picks[layer, token, pick]}; expected 0 to {slots - 1}, "
            "or -1 for none"
        )
    return np.stack([np.bincount(row[row >= 0].ravel(), minlength=slots) for row in picks.astype(np.int64)])


def _number(record: dict[Any, Any], key: str, place: int) -> int:
    value = record.get(key)
    if type(value) is not int or value < 0:
        raise InputError(f"records[{place}]: {key} is {shown(value)}; expected a whole number of at least 0")
    return value


def _gatherer(record: dict[Any, Any], place: int) -> str:
    value = record.get("gatherer_key", "")
    if not isinstance(value, str):
        raise InputError(f"records[{place}]: gatherer_key is {shown(value)}; expected a text")
    return value


def _complete(seen: set[tuple[int, int, str]]) -> list[int]:
    """Return the passes that every rank recorded, in rising order."""
    ranks_of: dict[int, set[int]] = {}
    for number, rank, _ in seen:
        ranks_of.setdefault(number, set()).add(rank)
    ranks = sorted({rank for _, rank, _ in seen})
    if ranks != list(range(len(ranks))):
        raise InputError(f"holds ranks {listed(ranks)}; expected the files of all ranks, from 0 on")
    complete = [number for number in sorted(ranks_of) if len(ranks_of[number]) == len(ranks)]
    if not complete:
        raise InputError(f"holds no forward pass that all {len(ranks)} ranks recorded; expected one at least")
    return complete


def _shape(counts: NDArray[Any]) -> str:
    return f"{counts.shape[0]} layers of {counts.shape[1]} experts"
