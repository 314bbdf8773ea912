"""Which files hold what one rank each recorded, by their names: ``..._rank0_timestamp17.csv``, ``npu_3.csv``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RANK = re.compile(r"(?:^|[^a-z])(?:rank|npu|device)[_-]?(\d{1,6})(?!\d)", re.IGNORECASE)
NUMBERS = re.compile(r"(\d+)")


def in_order(names: Iterable[str]) -> list[str]:
    """Return names in order, the numbers in them by their value.

    Examples
    --------
    >>> in_order(["window_10.pt", "window_9.pt"])
    ['window_9.pt', 'window_10.pt']
    """
    return sorted(names, key=lambda name: ([_value(part) for part in NUMBERS.split(name)], name))


def rank_in(name: str) -> int | None:
    """Return the rank that the name of a file has, if it has one."""
    found = RANK.search(name)
    return int(found[1]) if found else None


def dumps_of_ranks(files: Iterable[Path]) -> list[list[Path]]:
    """Return the files of all ranks, rank by rank, of the first dump, the second, ...; a rank's own are in order.

    Raises
    ------
    InputError
        If a rank is missing, or has more files than another.
    """
    by_name = {file.name: file for file in files}
    of_rank: dict[int, list[Path]] = {}
    for name in in_order(by_name):
        rank = rank_in(name)
        if rank is not None:
            of_rank.setdefault(rank, []).append(by_name[name])
    ranks = sorted(of_rank)
    if not ranks or ranks != list(range(len(ranks))):
        raise InputError(f"holds ranks {listed(ranks)}; expected the files of all ranks, from 0 on")
    for rank in ranks:
        if len(of_rank[rank]) != len(of_rank[0]):
            raise InputError(
                f"holds {len(of_rank[rank])} files of rank {rank} and {len(of_rank[0])} of rank 0; expected as many of "
                "each"
            )
    return [list(dump) for dump in zip(*(of_rank[rank] for rank in ranks), strict=True)]


def _value(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() and part.isascii() else (-1, part)
