"""Loads as CSV: in long form, a row for each expert under a line of names, or as a matrix, a row for each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.formats.files.columns import COMMENT, fields_of, is_number, read_csv_columns
from equipoise.formats.loads.csv_matrix import loads_of_matrix, read_matrix
from equipoise.formats.loads.long_form import (
    ALSO_CALLED,
    COLUMNS,
    OPTIONAL,
    READ,
    columns_of_loads,
    loads_of_columns,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.formats.sniffing import Glimpse
    from equipoise.loads import Loads
    from equipoise.timing.known_models import Model

LEAST_COLUMNS = 2


def is_csv(glimpse: Glimpse) -> bool:
    """Return whether the first line names the columns of the long form, or has nothing but numbers."""
    fields = _first_fields(glimpse.head)
    return _names_long_form(fields) or (len(fields) >= LEAST_COLUMNS and all(map(is_number, fields)))


def read_csv(path: Path, model: Model | None = None) -> Loads:
    """Read a table in long form, :mod:`equipoise.formats.loads.long_form` says how, or else a matrix.

    Parameters
    ----------
    path : Path
        The file.
    model : Model, optional
        Says how many rows of a matrix are the layers of one window; otherwise all are.

    Raises
    ------
    InputError
        If it is no such table, or a field that is read is no number.
    """
    if is_in_long_form(path):
        return loads_of_columns(read_long_form(path), path)
    return loads_of_matrix(read_matrix(path), model)


def is_in_long_form(path: Path) -> bool:
    """Return whether the table has a line of names that are not those of a matrix: ``expert_0``, ``expert_1``, ..."""
    with path.open("rb") as file:
        fields = _first_fields(file.read(2**20))
    return _names_long_form(fields) or not any(field[-1:].isdigit() for field in fields)


def read_long_form(path: Path) -> dict[str, NDArray[Any]]:
    """Return the columns that are read of a table in long form.

    Raises
    ------
    InputError
        If one is missing, or a field of it is no number.
    """
    return dict(read_csv_columns(READ, path, ALSO_CALLED, OPTIONAL))


def encode_csv(loads: Loads) -> str:
    """Return the table's text."""
    columns = columns_of_loads(loads)
    rows = zip(*(columns[name].tolist() for name in COLUMNS), strict=True)
    return "\n".join(
        [",".join(COLUMNS), *(f"{window},{layer},{expert},{load}" for window, layer, expert, load in rows), ""]
    )


def _first_fields(head: bytes) -> list[str]:
    """Return the fields of the first line that is neither blank nor a comment, in small letters."""
    lines = head.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").splitlines()
    line = next((line for line in lines if line.strip() and not line.startswith(COMMENT)), "")
    return [field.lower() for field in fields_of(line)]


def _names_long_form(fields: list[str]) -> bool:
    return all(any(field in (name, *ALSO_CALLED[name]) for field in fields) for name in COLUMNS if name not in OPTIONAL)
