"""Loads in NumPy files: an ``.npy`` array, or an ``.npz`` archive with one array or one named ``counts``.

An archive may have ``decoder_layers`` too, ``[layers]``: the model's own number of each layer.
"""

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

LAYERS = "decoder_layers"


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
    counts, layers = _arrays(path) if is_archive else (read_array(path), None)
    check_numbers(counts.size, path)
    loads = loads_of_numbers(counts)
    return loads.numbered(layers)


def encode_numpy(loads: Loads) -> bytes:
    """Return an ``.npz`` archive with the loads under ``counts``, and ``decoder_layers`` where they are known."""
    content = BytesIO()
    arrays: dict[str, Any] = {"counts": recorded_counts(loads)}
    if loads.decoder_layers is not None:
        arrays[LAYERS] = np.array(loads.decoder_layers)
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _arrays(path: Path) -> tuple[NDArray[Any], list[int] | None]:
    """Return the counts of an archive, and the numbers of their layers if it has them."""
    with opened_archive(path) as archive:
        names = [name for name in archive.names if name != LAYERS]
        if "counts" not in names and len(names) != 1:
            raise InputError(f"holds the arrays {listed(names)}; expected a single one, or one named counts")
        counts = archive.read("counts" if "counts" in names else names[0])
        return counts, _numbers(archive.read(LAYERS)) if LAYERS in archive.names else None


def _numbers(layers: NDArray[Any]) -> list[int]:
    if layers.ndim != 1 or layers.dtype.kind not in "iu":
        raise InputError(f"{LAYERS} is {layers.dtype} {list(layers.shape)}; expected the number of each layer")
    numbers: list[int] = layers.tolist()
    return numbers
