"""NumPy's files: ``.npy`` arrays and ``.npz`` archives, read without running code from them.

An array's header says how large it is; that is checked before there is room for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import prod
from typing import IO, TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.archives import opened_member
from equipoise.formats.files.size_guard import check_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

LONGEST_HEADER = 10_000 + 12  # what NumPy takes for one, and what is before it
SUFFIX = ".npy"


def read_array(path: Path) -> NDArray[Any]:
    """Return the array of an ``.npy`` file.

    Raises
    ------
    InputError
        If the file is damaged, holds Python objects, or says it is larger than such a file should be.
    """
    with path.open("rb") as file, _refusing("NumPy array"):
        return _array(file, path)


def array_of_bytes(content: bytes, path: Path) -> NDArray[Any]:
    """Return the array whose ``.npy`` file is within another file.

    Raises
    ------
    InputError
        As :func:`read_array`.
    """
    with _refusing("NumPy array"):
        return _array(BytesIO(content), path)


def mapped_array(path: Path) -> NDArray[Any]:
    """Return the array of an ``.npy`` file, left in the file.

    Raises
    ------
    InputError
        As :func:`read_array`.
    """
    with path.open("rb") as file, _refusing("NumPy array"):
        _check_header(file, path)
        return np.lib.format.open_memmap(path, mode="r")


@dataclass(frozen=True)
class NumpyArchive:
    """An ``.npz`` archive that is open."""

    archive: ZipFile
    path: Path

    @property
    def names(self) -> list[str]:
        """The names of the arrays in it."""
        return [name.removesuffix(SUFFIX) for name in self.archive.namelist()]

    def read(self, name: str) -> NDArray[Any]:
        """Return the array of this name."""
        member = self.archive.infolist()[self.names.index(name)]
        with opened_member(self.archive, member, self.path) as file:
            return _array(file, self.path)


@contextmanager
def opened_archive(path: Path) -> Iterator[NumpyArchive]:
    """Open an ``.npz`` archive to take arrays from it.

    Raises
    ------
    InputError
        If the file, or an array that is taken, is damaged, holds Python objects, or is larger than it should be.
    """
    with _refusing(".npz archive"), ZipFile(path) as archive:
        yield NumpyArchive(archive, path)


def _array(file: IO[bytes], path: Path) -> NDArray[Any]:
    _check_header(file, path)
    return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(file: IO[bytes], path: Path) -> None:
    """Refuse an array that its header says is too large; the file is at its beginning, before and after.

    The header is parsed from a few bytes in memory, for it can lie about its own length too.
    """
    head = BytesIO(file.read(LONGEST_HEADER))
    file.seek(0)
    parse = np.lib.format.read_array_header_1_0
    if np.lib.format.read_magic(head) != (1, 0):
        parse = np.lib.format.read_array_header_2_0
    shape, _, dtype = parse(head)
    if dtype.hasobject:
        raise InputError("holds Python objects, and reading these could run code; expected an array of numbers")
    check_bytes(prod(shape) * dtype.itemsize, path)


@contextmanager
def _refusing(kind: str) -> Iterator[None]:
    """Turn what NumPy, zip and zlib each raise for damage, anywhere in their parsing of it, into a refusal."""
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception:
        raise InputError(f"not a readable {kind}: damaged, cut short, or no such file at all") from None
