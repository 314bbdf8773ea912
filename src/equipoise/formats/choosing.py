"""Which format a file is read in, or written in: the one asked for, else by content, else by suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from equipoise.errors import InputError, check_choice
from equipoise.formats.glimpse import Glimpse
from equipoise.formats.table import LOADS, LOADS_WRITTEN, PLACEMENTS, LoadsFormat, PlacementFormat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Format = TypeVar("Format", LoadsFormat, PlacementFormat)


def format_to_read(path: Path, formats: Mapping[str, Format], asked: str | None) -> Format:
    """Return the format that is asked for, else the one that the content shows, else the one that the suffix says.

    Raises
    ------
    InputError
        If the one asked for is not known, or nothing says which it is.
    """
    if asked is not None:
        check_choice("format", asked, formats)
        return formats[asked]
    glimpse = Glimpse.of(path)
    by_content = [known for known in formats.values() if known.detect(glimpse)]
    by_suffix = [known for known in formats.values() if path.suffix.lower() in known.suffixes and not path.is_dir()]
    if not by_content and not by_suffix:
        raise InputError(f"of no format that its content shows; say which it is (--from): {', '.join(formats)}")
    return (by_content or by_suffix)[0]


def loads_format_to_write(path: Path, asked: str | None) -> str:
    """Return the name of the format that is asked for, else of the one whose files end like this.

    Raises
    ------
    InputError
        If it is not written, or its files end otherwise.
    """
    written = {name: LOADS[name] for name in LOADS_WRITTEN}
    if asked is not None:
        return _fitting(path, asked, written)
    by_suffix = [name for name, known in written.items() if path.name.endswith(known.written)]
    if not by_suffix:
        endings = ", ".join(ending for known in written.values() for ending in known.written)
        raise InputError(f"loads are not written to such a file; expected one that ends in {endings}")
    return by_suffix[0]


def placement_format_to_write(path: Path, asked: str | None) -> str:
    """Return the name of the format that is asked for, else of the only engine whose files end like this, else our own.

    Raises
    ------
    InputError
        If it is not known, the engine's files end otherwise, or files that end like this are loads.
    """
    if asked is not None:
        return _fitting(path, asked, PLACEMENTS)
    if any(path.name.endswith(LOADS[name].written) for name in LOADS_WRITTEN):
        raise InputError("such files hold loads, not a placement; expected one that ends in .json, .yaml or .npy")
    by_suffix = [name for name, known in PLACEMENTS.items() if path.name.endswith(known.written)]
    return by_suffix[0] if len(by_suffix) == 1 else "equipoise"


def _fitting(path: Path, name: str, formats: Mapping[str, Format]) -> str:
    """Return the name, if it is a format whose files may have this path."""
    check_choice("format", name, formats)
    endings = formats[name].written
    if endings and not path.name.endswith(endings):
        raise InputError(f"{name} takes files that end in {' or '.join(endings)}")
    return name
