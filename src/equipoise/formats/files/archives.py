"""Zip archives, as NumPy and torch write them: what is in them, by size, before it is unpacked."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZIP_STORED

from equipoise.errors import InputError
from equipoise.formats.files.refusals import shown
from equipoise.formats.files.size_guard import check_bytes

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipFile, ZipInfo


def opened_member(archive: ZipFile, member: ZipInfo, path: Path) -> IO[bytes]:
    """Open a member of the archive; it yields no more bytes than the archive's directory says, which are checked.

    Raises
    ------
    InputError
        If it is packed by another method than the two of NumPy and torch, or unpacks to more than such a file should.
    """
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # Python unpacks others by the block, whatever its size
        raise InputError(
            f"{shown(member.filename)} is packed by method {member.compress_type}; expected it stored (0) or deflated "
            "(8), as NumPy and torch write it"
        )
    check_bytes(member.file_size, path)
    return archive.open(member)
