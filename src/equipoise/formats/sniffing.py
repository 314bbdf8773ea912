"""What a file or a folder shows of itself before it is read: enough to tell its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from zipfile import ZipFile

from equipoise.formats.files.archives import opened_member
from equipoise.formats.files.torch_files import BEFORE_ZIP

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH = 4096


@dataclass(frozen=True)
class Glimpse:
    """A file's first bytes, and the names in a folder or an archive.

    Attributes
    ----------
    path : Path
        The file or folder.
    head : bytes
        The first 4096 bytes; of a torch file, those of the pickle in it; of a folder, none.
    names : tuple of str
        What a folder or a zip archive has in it, otherwise empty.
    """

    path: Path
    head: bytes
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Glimpse:
        """Look at a file or a folder; what cannot be opened raises the system's own error."""
        if path.is_dir():
            return cls(path, b"", tuple(sorted(entry.name for entry in path.iterdir())))
        with path.open("rb") as file:
            head = file.read(ENOUGH)
            return cls(path, *_inside(file, path)) if head.startswith(b"PK") else cls(path, head)

    @property
    def is_torch(self) -> bool:
        """Whether it is what ``torch.save`` writes."""
        return any(name.endswith("data.pkl") for name in self.names) or self.head.startswith(BEFORE_ZIP)

    @property
    def is_safetensors(self) -> bool:
        """Whether it begins as safetensors do: eight bytes that say how long the JSON after them is."""
        return self.head[8:9] == b"{" and b"\0" in self.head[:8] and not self.is_torch

    def opens_with(self, *starts: str) -> bool:
        """Return whether it is text whose first character, after blanks, is one of these."""
        return self.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in [start.encode() for start in starts]

    def pickles(self, key: str) -> bool:
        """Return whether the pickle of a torch file begins with, or has near its beginning, this very text."""
        return self.is_torch and b"X" + len(key).to_bytes(4, "little") + key.encode() in self.head


def _inside(file: BinaryIO, path: Path) -> tuple[bytes, tuple[str, ...]]:
    """Return the first bytes of the pickle in an archive, and the archive's names; nothing of one that is damaged."""
    try:
        with ZipFile(file) as archive:
            names = tuple(archive.namelist())
            pickles = [member for member in archive.infolist() if member.filename.endswith("data.pkl")]
            if not pickles:
                return b"", names
            with opened_member(archive, pickles[0], path) as pickle:
                return pickle.read(ENOUGH), names
    except Exception:  # zip, zlib and the system each have their own errors for damage; the reader refuses it by name
        return b"", ()
