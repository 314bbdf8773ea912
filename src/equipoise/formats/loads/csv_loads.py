"""Loads as CSV in long form: a line of names, then ``window,layer,expert,load`` in every line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from equipoise.formats.files.columns import read_csv_columns
from equipoise.formats.loads.long_form import COLUMNS, columns_of_loads, loads_of_columns

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.sniffing import Glimpse
    from equipoise.loads import Loads


def is_csv(glimpse: Glimpse) -> bool:
    """Return whether the first line names the columns."""
    names = re.split(rb"[^a-z]+", glimpse.head.partition(b"\n")[0].lower())
    return {name.encode() for name in COLUMNS} <= set(names)


def read_csv(path: Path) -> Loads:
    """Read a table with the columns window, layer, expert and load; :mod:`equipoise.formats.loads.long_form` says how.

    Raises
    ------
    InputError
        If it is no such table, or a field of the four columns is no number.
    """
    return loads_of_columns(read_csv_columns(COLUMNS, path), path)


def encode_csv(loads: Loads) -> str:
    """Return the table's text."""
    columns = columns_of_loads(loads)
    rows = zip(*(columns[name].tolist() for name in COLUMNS), strict=True)
    return "\n".join(
        [",".join(COLUMNS), *(f"{window},{layer},{expert},{load}" for window, layer, expert, load in rows), ""]
    )
