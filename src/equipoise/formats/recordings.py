"""Recorded loads out of a file, an engine's folder, or several of them, which are windows of one recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError, setting
from equipoise.formats.files.at_hand import at_hand, unpacked_name
from equipoise.formats.files.refusals import listed, naming
from equipoise.formats.files.size_guard import check_numbers
from equipoise.formats.loads.bare_numbers import refuse_a_map
from equipoise.formats.loads.csv_ranks import are_csv_of_ranks, read_csv_of_ranks
from equipoise.formats.loads.ranks import in_order
from equipoise.formats.loads.sglang_passes import is_sglang_passes, read_passes_of
from equipoise.formats.registry import LOADS, format_to_read, refuse_a_placement
from equipoise.formats.sniffing import Glimpse
from equipoise.loads import Loads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.timing.known_models import Model


@dataclass(frozen=True)
class Asked:
    """How loads shall be read.

    Attributes
    ----------
    format : str, optional
        The format; otherwise the content says which it is.
    model : Model, optional
        The model that was recorded.
    experts : int, optional
        The experts that are of interest: those after them are left out; what names fewer has no load on the others.
    """

    format: str | None = None
    model: Model | None = None
    experts: int | None = None


def read_recordings(paths: Sequence[Path], asked: Asked) -> Loads:
    """Read one file or folder, or several as windows that follow on each other, each labelled with its file's name.

    Files of all ranks, such as a pattern of the shell names them, are read together as their folder is.

    Raises
    ------
    InputError
        If one cannot be read, or they differ in layers or experts; the message begins with its name.
    """
    if len(paths) == 1:
        return _read_one(paths[0], asked)
    if asked.format in (None, "csv-ranks") and are_csv_of_ranks([path.name for path in paths], all_of_them=True):
        with naming(paths[0].parent):
            return _with_experts(read_csv_of_ranks(paths, asked.model), asked, fills=True)
    if asked.format in (None, "sglang-passes") and all(map(_has_passes, paths)):
        with naming(paths[0].parent):
            return _with_experts(read_passes_of(paths), asked)
    return _as_windows(paths, asked)


def _read_one(path: Path, asked: Asked) -> Loads:
    """Read a file, an engine's folder, or a folder whose files are windows."""
    with naming(path), at_hand(path) as file:
        if file.is_dir() and not _is_known_folder(file, asked.format):
            names = in_order(inside.name for inside in file.iterdir() if _is_recording(inside))
            if names:
                return _as_windows([path / name for name in names], asked)
        if asked.format is None:
            refuse_a_placement(file)
        known = format_to_read(file, LOADS, asked.format)
        loads = known.read(file, asked.model)
        if known.bare and asked.format is None:
            refuse_a_map(loads, next(name for name, one in LOADS.items() if one is known))
        return _with_experts(loads, asked, known.fills(file))


def _as_windows(paths: Sequence[Path], asked: Asked) -> Loads:
    """Return the loads of all files, one after the other."""
    found: list[Loads] = []
    for path in paths:
        loads = _read_one(path, asked)
        with naming(path):
            first = (found or [loads])[0]
            if (loads.layers, loads.experts) != (first.layers, first.experts):
                raise InputError(
                    f"has {loads.layers} layers x {loads.experts} experts, {paths[0]} {first.layers} x {first.experts};"
                    f" expected the same in all files; {setting('experts')} says how many there are where some were "
                    "never hit"
                )
            if loads.decoder_layers != first.decoder_layers:
                numbers, expected = (listed(one.decoder_layers or ["nowhere"]) for one in (loads, first))
                raise InputError(f"numbers its layers {numbers}, {paths[0]} {expected}; expected the same in all files")
            found.append(loads)
            check_numbers(sum(one.counts.size for one in found), paths)
    labels = [label for path, loads in zip(paths, found, strict=True) for label in _labels(path, loads)]
    return Loads(np.concatenate([loads.counts for loads in found]), tuple(labels), found[0].decoder_layers)


def _labels(path: Path, loads: Loads) -> list[str]:
    """Return the names of the windows of a file: its own, and which of its windows it is if there are several."""
    name = Path(unpacked_name(path.name)).stem
    if loads.windows == 1:
        return [name]
    return [f"{name} {label}" for label in loads.labels or range(loads.windows)]


def _with_experts(loads: Loads, asked: Asked, fills: bool = False) -> Loads:
    """Return the loads of the experts that are asked for, or else of the model's where a recording may lack some."""
    experts = asked.experts or (asked.model.experts if asked.model and fills else loads.experts)
    if experts == loads.experts or (asked.experts is None and experts < loads.experts):
        return loads
    if experts < loads.experts:
        return Loads(loads.counts[:, :, :experts], loads.labels, loads.decoder_layers)
    if not fills:
        raise InputError(f"has {loads.experts} experts; expected {experts} at least ({setting('experts')})")
    unseen = experts - loads.experts
    check_numbers(loads.windows * loads.layers * unseen, ())
    return Loads(np.pad(loads.counts, ((0, 0), (0, 0), (0, unseen))), loads.labels, loads.decoder_layers)


def _is_known_folder(folder: Path, asked: str | None) -> bool:
    """Return whether it is a folder that a format reads as a whole."""
    if asked is not None:
        return LOADS[asked].folder
    glimpse = Glimpse.of(folder)
    return any(known.detect(glimpse) for known in LOADS.values())


def _is_recording(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".")


def _has_passes(path: Path) -> bool:
    return path.is_file() and is_sglang_passes(Glimpse.of(path))
