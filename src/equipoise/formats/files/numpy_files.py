"""NumPy's files: ``.npy`` arrays and ``.npz`` archives, read without running code from them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from numpy.typing import NDArray


def read_array(file: BinaryIO) -> NDArray[Any]:
    """Return the array of an ``.npy`` file.

    Raises
    ------
    InputError
        If the file is damaged or holds Python objects.
    """
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged header can fail anywhere in NumPy's parsing of it
        raise InputError(f"not a readable NumPy array: {error}") from None


@contextmanager
def opened_archive(file: BinaryIO) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open an ``.npz`` archive to take arrays from it.

    Raises
    ------
    InputError
        If the file, or an array that is taken, is damaged or holds Python objects.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            yield archive
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:  # zip, zlib and NumPy each have their own errors for damage
        raise InputError(f"not a readable .npz archive: {error}") from None
