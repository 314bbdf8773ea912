"""NumPy files: an ``.npy`` array, or an ``.npz`` archive with one array or one named ``counts``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.refusals import listed
from equipoise.loads import Loads

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray


def read_numpy(path: Path) -> Loads:
    """Read loads ``[experts]``, ``[layers, experts]`` or ``[windows, layers, experts]``, running no code.

    Raises
    ------
    InputError
        If the file is damaged, holds Python objects, or holds several arrays and none named ``counts``.
    """
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
        file.seek(0)
        return Loads(_only_array(file) if is_archive else _array(file))


def _array(file: BinaryIO) -> NDArray[Any]:
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged header can fail anywhere in NumPy's parsing of it
        raise InputError(f"not a readable NumPy array: {error}") from None


def _only_array(file: BinaryIO) -> NDArray[Any]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            names = list(archive)
            if "counts" in names or len(names) == 1:
                return np.asarray(archive["counts" if "counts" in names else names[0]])
    except (OSError, MemoryError):
        raise
    except Exception as error:  # zip, zlib and NumPy each have their own errors for damage
        raise InputError(f"not a readable .npz archive: {error}") from None
    raise InputError(f"holds the arrays {listed(names)}; expected a single one, or one named counts")
