"""Tables of text: the columns whose names are wanted, or all numbers where no line has names."""

from __future__ import annotations

import csv
import warnings
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SEPARATORS = (",", ";", "\t")
"""What stands between fields; where none of them does, blanks do."""
COMMENT = "#"


def separator_of(line: str) -> str:
    """Return what stands between the fields of a line: a comma, a semicolon, a tab, or else blanks, as one."""
    return next((separator for separator in SEPARATORS if separator in line), " ")


def fields_of(line: str) -> list[str]:
    """Return the fields of a line, without blanks around them.

    Examples
    --------
    >>> fields_of('layer_id, expert_id,"count"'), fields_of("5 1  2 4")
    (['layer_id', 'expert_id', 'count'], ['5', '1', '2', '4'])
    """
    separator = separator_of(line)
    if separator == " ":
        return line.split()
    return [field.strip() for field in _split(line, separator, skipinitialspace=True)]


def _split(line: str, separator: str, *, skipinitialspace: bool = False) -> list[str]:
    """Return the fields of a line; of one that holds a character 0 too, which Python 3.10 would not take apart."""
    lines = [line.replace("\0", "\N{REPLACEMENT CHARACTER}")]
    return next(csv.reader(lines, delimiter=separator, skipinitialspace=skipinitialspace), [])


def is_number(field: str) -> bool:
    """Return whether a field is a number, NaN and infinity among them."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def places_of(
    wanted: Sequence[str],
    columns: Sequence[str],
    called: Mapping[str, Collection[str]] | None = None,
    optional: Collection[str] = (),
) -> dict[str, int]:
    """Return where the wanted columns are among those of a table, whatever their case; there may be others.

    Parameters
    ----------
    wanted : sequence of str
        The columns.
    columns : sequence of str
        The names that the table has.
    called : mapping of str to names, optional
        What else a column may be called.
    optional : names
        Columns that may be missing, and then are so in what is returned.

    Raises
    ------
    InputError
        If one is missing or there twice.
    """
    names = [name.strip().lower() for name in columns]
    places = {}
    for name in wanted:
        known = {name, *(called or {}).get(name, ())}
        found = [place for place, given in enumerate(names) if given in known]
        if len(found) > 1 or not (found or name in optional):
            how_many = "more than one column" if found else "no column"
            needed = ", ".join(one for one in wanted if one not in optional)
            raise InputError(f"has {how_many} {name} among {listed(columns)}; expected {needed}")
        if found:
            places[name] = found[0]
    return places


def read_csv_columns(
    wanted: Sequence[str],
    path: Path,
    called: Mapping[str, Collection[str]] | None = None,
    optional: Collection[str] = (),
) -> dict[str, NDArray[np.float64]]:
    """Return the wanted columns of a CSV file whose first line names them; :func:`places_of` says which they are.

    Raises
    ------
    InputError
        If it is no such table, or a field of these columns is no number.
    """
    with _opened(path) as file:
        line = _first_line(file)
        places = places_of(wanted, fields_of(line), called, optional)
        rows = _numbers(file, separator_of(line), list(places.values()))
    return dict(zip(places, rows.T, strict=True))


def read_csv_matrix(path: Path) -> tuple[list[str] | None, NDArray[np.float64]]:
    """Return all numbers of a table ``[rows, columns]``, and the names of its columns if its first line has any.

    Raises
    ------
    InputError
        If a field is no number, or rows differ in length.
    """
    with _opened(path) as file:
        line = _first_line(file)
        names = fields_of(line)
        if all(map(is_number, names)):
            file.seek(0)
            return None, _numbers(file, separator_of(line), None)
        return names, _numbers(file, separator_of(line), None)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise InputError(f"not CSV: byte {error.start} is not UTF-8 text") from None
    except csv.Error:
        raise InputError("not a table of numbers: its first line cannot be told into fields") from None


def _first_line(file: IO[str]) -> str:
    """Return the first line that is neither blank nor a comment."""
    for line in iter(file.readline, ""):
        if line.strip() and not line.startswith(COMMENT):
            return line.strip("\r\n")
    return ""


def _numbers(file: IO[str], separator: str, places: list[int] | None) -> NDArray[np.float64]:
    """Return the numbers in the columns at these places, or in all, of the lines from here on."""
    start = file.tell()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of a table without rows, which whoever asked refuses
            rows = np.loadtxt(
                iter(file.readline, ""),  # unlike iterating over the file, this leaves it able to tell where it is
                delimiter=None if separator == " " else separator,
                comments=COMMENT,
                quotechar='"',
                usecols=places,
                ndmin=2,
                dtype=np.float64,
            )
    except UnicodeDecodeError:
        raise
    except ValueError:
        file.seek(0)
        _refuse_first_bad_field(file, start, separator, places)
        raise InputError("not a table of numbers; expected one in each field") from None
    return rows if places is None or rows.size else np.zeros((0, len(places)))


def _refuse_first_bad_field(file: IO[str], start: int, separator: str, places: list[int] | None) -> None:
    """Raise for the first line from here on that lacks a field or has one that is no number."""
    width, number, end = None, 0, 0
    for number, line in enumerate(iter(file.readline, ""), 1):
        begun, end = end, file.tell()
        text = line.partition(COMMENT)[0].strip("\r\n")
        if begun < start or not text.strip():
            continue
        fields = text.split() if separator == " " else _split(text, separator)
        width = width or len(fields)
        if len(fields) <= max(places or [0]) or (places is None and len(fields) != width):
            expected = width if places is None else max(places) + 1
            raise InputError(f"not a table of numbers: line {number} has {len(fields)} fields; expected {expected}")
        for place in places or range(len(fields)):
            if not is_number(fields[place]):
                raise InputError(
                    f"not a table of numbers: line {number}, column {place + 1} is {shown(fields[place])}; expected a "
                    "number"
                )
