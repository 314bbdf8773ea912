"""Files as readers need them: on disk, where they can be sought and read twice, and unpacked.

What comes through a pipe, as standard input (``-``) or the shell's ``<(...)``, can be read once: it is kept in a file
until the process ends. ``.gz`` and ``.zst`` are unpacked into a file that is gone afterwards, for as much as such a
file may stand for and no more.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISFIFO
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.size_guard import AT_MOST, BYTES_OF_A_NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STANDARD_INPUT = "-"
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BLOCK = 2**20
PACKED_BLOCK = 2**10  # of which Zstandard may make 32 MiB
ALWAYS = 2**25
FOR_EACH_BYTE = 2**7
MOST_BYTES = AT_MOST * BYTES_OF_A_NUMBER

_kept: dict[object, Path] = {}
_folder: list[TemporaryDirectory[str]] = []


@contextmanager
def at_hand(path: Path) -> Iterator[Path]:
    """Give the file itself or, of what is packed or comes through a pipe, one with what it holds; a folder as it is.

    Raises
    ------
    InputError
        If it is packed and damaged, stands for more than it should, or needs a package that is not installed.
    """
    path = _through_a_pipe(path)
    packed = b"" if path.is_dir() else _beginning(path)
    if not packed.startswith((GZIP, ZSTD)):
        yield path
        return
    with TemporaryDirectory(prefix="equipoise-") as folder:
        unpacked = Path(folder) / unpacked_name(path.name)
        most = min(ALWAYS + FOR_EACH_BYTE * path.stat().st_size, MOST_BYTES)
        with _refusing_damage(), path.open("rb") as file:
            _copy(_unzipped(file) if packed.startswith(GZIP) else _unpacked_zstd(file), unpacked, most)
        yield unpacked


def unpacked_name(name: str) -> str:
    """Return a file's name without the suffix of what it is packed with.

    Examples
    --------
    >>> unpacked_name("loads.csv.gz"), unpacked_name("loads.csv")
    ('loads.csv', 'loads.csv')
    """
    return name.removesuffix(".gz").removesuffix(".zst")


def _through_a_pipe(path: Path) -> Path:
    """Return the path, or the file in which what came through it is kept."""
    if str(path) == STANDARD_INPUT:
        key, source = sys.stdin, sys.stdin.buffer
        return _kept.get(key) or _keep(key, source)
    state = path.stat()
    if not S_ISFIFO(state.st_mode):
        return path
    pipe = (state.st_dev, state.st_ino)
    if pipe in _kept:
        return _kept[pipe]
    with path.open("rb") as opened:
        return _keep(pipe, opened)


def _keep(key: object, source: IO[bytes]) -> Path:
    """Copy what comes through a pipe to a file that is there until the process ends."""
    if not _folder:
        _folder.append(TemporaryDirectory(prefix="equipoise-"))
    kept = Path(_folder[0].name) / f"piped-{len(_kept)}"
    _copy(_blocks(source), kept, MOST_BYTES)
    _kept[key] = kept
    return kept


def _blocks(source: IO[bytes] | gzip.GzipFile, size: int = BLOCK) -> Iterator[bytes]:
    return iter(lambda: source.read(size), b"")


def _copy(blocks: Iterable[bytes], target: Path, most: int) -> None:
    written = 0
    with target.open("wb") as file:
        for block in blocks:
            written += len(block)
            if written > most:
                raise InputError(f"holds more than {most} bytes; expected no more in such a file")
            file.write(block)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(ZSTD))


def _unzipped(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.open(file) as unpacked:
        yield from _blocks(unpacked)


def _unpacked_zstd(file: IO[bytes]) -> Iterator[bytes]:
    """Unpack frame after frame; readers of whole files take one that is cut short for one that ends there."""
    decompressor = _zstd_decompressor()
    frame = None
    for packed in _blocks(file, PACKED_BLOCK):
        while packed:
            frame = frame or decompressor()
            yield frame.decompress(packed)
            packed, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame is not None:
        raise EOFError


def _zstd_decompressor() -> Callable[[], Any]:
    """Return what makes the decompressor of a frame: Python's own, from 3.14 on, or a package's."""
    try:
        from compression import zstd
    except ImportError:
        pass
    else:
        decompressor: Callable[[], Any] = zstd.ZstdDecompressor
        return decompressor
    try:
        import zstandard
    except ImportError:
        raise InputError(
            "is packed with Zstandard, which needs zstandard, which is not installed; "
            "pip install 'equipoise[zstd]', or unpack it with zstd -d"
        ) from None
    return lambda: zstandard.ZstdDecompressor().decompressobj()


@contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        yield
    except (InputError, MemoryError):
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError("is packed and damaged: it ends too soon, or does not unpack") from None
    except OSError:
        raise
    except Exception as error:  # packages for Zstandard have errors of their own
        raise InputError(f"is packed and damaged: {type(error).__name__}") from None
