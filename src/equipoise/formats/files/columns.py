"""Tables whose columns have names: which of them are wanted, and their numbers out of CSV."""

from __future__ import annotations

import csv
import warnings
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def places_of(wanted: Sequence[str], columns: Sequence[str]) -> dict[str, int]:
    """Return where the wanted columns are among those of a table, whatever their case; there may be others.

    Raises
    ------
    InputError
        If one is missing or there twice.
    """
    names = [name.strip().lower() for name in columns]
    for name in wanted:
        if names.count(name) != 1:
            found = "no column" if name not in names else "more than one column"
            raise InputError(f"has {found} {name} among {listed(columns)}; expected {', '.join(wanted)}")
    return {name: names.index(name) for name in wanted}


def read_csv_columns(wanted: Sequence[str], path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the wanted columns of a CSV file whose first line names them.

    Raises
    ------
    InputError
        If it is no such table, or a field of these columns is no number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of a table without rows, which whoever asked refuses
            places = places_of(wanted, next(csv.reader([file.readline()]), []))
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
    return dict(zip(places, rows.T, strict=True))
