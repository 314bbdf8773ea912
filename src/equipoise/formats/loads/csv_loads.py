"""Loads as CSV in long form: a line of names, then ``window,layer,expert,load`` in every line."""

from __future__ import annotations

import csv
import re
import warnings
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.loads.long_form import COLUMNS, columns_of_loads, loads_of_columns, places_of

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
    try:
        with path.open(encoding="utf-8-sig", newline="") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of a table without rows, which is refused below
            places = places_of(next(csv.reader([file.readline()]), []))
            rows = np.loadtxt(
                file,
                delimiter=",",
                comments=None,
                quotechar='"',
                usecols=list(places.values()),
                ndmin=2,
                dtype=np.float64,
            )
    except UnicodeDecodeError as error:
        raise InputError(f"not CSV: byte {error.start} is not UTF-8 text") from None
    except (InputError, OSError, MemoryError):
        raise
    except (ValueError, csv.Error) as error:
        raise InputError(f"not a table of numbers: {error}") from None
    return loads_of_columns(dict(zip(places, rows.T, strict=True)), path)


def encode_csv(loads: Loads) -> str:
    """Return the table's text."""
    columns = columns_of_loads(loads)
    rows = zip(*(columns[name].tolist() for name in COLUMNS), strict=True)
    return "\n".join(
        [",".join(COLUMNS), *(f"{window},{layer},{expert},{load}" for window, layer, expert, load in rows), ""]
    )
