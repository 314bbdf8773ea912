"""Loads in NumPy files: an ``.npy`` array, or an ``.npz`` archive with one array or one named ``counts``."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.numpy_files import opened_archive, read_array
from equipoise.formats.files.refusals import listed
from equipoise.formats.files.size_guard import check_numbers
from equipoise.formats.loads.bare_numbers import loads_of_numbers
from equipoise.formats.loads.counts import recorded_counts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.formats.sniffing import Glimpse
    from equipoise.loads import Loads


def is_numpy(glimpse: Glimpse) -> bool:
    """Return whether it is an array or an archive of arrays."""
    if glimpse.path.is_dir():
        return False
    return glimpse.head.startswith(b"\x93NUMPY") or any(name.endswith(".npy") for name in glimpse.names)


def read_numpy(path: Path) -> Loads:
    """Read loads ``[experts]``, ``[layers, experts]`` or ``[windows, layers, experts]``, running no code.

    Raises
    ------
    InputError
        If the file is damaged, holds Python objects or more than it should, or holds several arrays and none named
        ``counts``.
    """
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    counts = _only_array(path) if is_archive else read_array(path)
    check_numbers(counts.size, path)
    return loads_of_numbers(counts)


def encode_numpy(loads: Loads) -> bytes:
    """Return an ``.npz`` archive with the loads under ``counts``."""
    content = BytesIO()
    np.savez_compressed(content, counts=recorded_counts(loads))
    return content.getvalue()


def _only_array(path: Path) -> NDArray[Any]:
    with opened_archive(path) as archive:
        names = archive.names
        if "counts" not in names and len(names) != 1:
            raise InputError(f"holds the arrays {listed(names)}; expected a single one, or one named counts")
        return archive.read("counts" if "counts" in names else names[0])
