"""One file per file format: read loads, read and write placements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.formats.json_loads import read_json_loads
from equipoise.formats.numpy_files import read_numpy
from equipoise.formats.refusals import naming
from equipoise.formats.sglang_dump import read_sglang_dump

if TYPE_CHECKING:
    from collections.abc import Callable

    from equipoise.loads import Loads

READERS: dict[str, Callable[[Path], Loads]] = {
    ".json": read_json_loads,
    ".npy": read_numpy,
    ".npz": read_numpy,
    ".pt": read_sglang_dump,
}


def read_loads(path: str | Path) -> Loads:
    """Read recorded loads; the suffix says which format.

    Parameters
    ----------
    path : str or Path
        A ``.npy``, ``.npz``, ``.json`` or ``.pt`` file; its format's own module says what it may hold.

    Returns
    -------
    Loads
        Counts ``[windows, layers, experts]``.

    Raises
    ------
    InputError
        If the file cannot be read as loads; the message begins with the file's name.

    Examples
    --------
    >>> read_loads("loads.csv")
    Traceback (most recent call last):
    equipoise.errors.InputError: loads.csv: loads are not read from .csv files; use .json, .npy, .npz or .pt
    """
    path = Path(path)
    with naming(path):
        suffix = path.suffix.lower()
        if suffix not in READERS:
            *others, last = READERS
            raise InputError(
                f"loads are not read from {suffix or 'suffixless'} files; use {', '.join(others)} or {last}"
            )
        return READERS[suffix](path)
