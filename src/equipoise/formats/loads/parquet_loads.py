"""Loads as Parquet in long form: the columns window, layer, expert and load."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.columns import places_of
from equipoise.formats.files.size_guard import check_numbers
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


def is_parquet(glimpse: Glimpse) -> bool:
    """Return whether it begins as Parquet does."""
    return glimpse.head.startswith(b"PAR1")


def read_parquet(path: Path) -> Loads:
    """Read a table with the columns window, layer, expert and load; :mod:`equipoise.formats.loads.long_form` says how.

    Raises
    ------
    InputError
        If pyarrow is not installed, the file is damaged, or it is no such table of numbers.
    """
    arrow, parquet = _pyarrow()
    try:
        with path.open("rb") as file:
            size = path.stat().st_size  # no list or text in the file's directory is longer than the file itself
            table = parquet.ParquetFile(file, thrift_string_size_limit=size, thrift_container_size_limit=size)
            schema = table.schema_arrow
            places = places_of(READ, schema.names, ALSO_CALLED, OPTIONAL)
            fields = {name: schema.field(place) for name, place in places.items()}
            for name, field in fields.items():
                if not arrow.types.is_integer(field.type) and not (
                    name == "load" and arrow.types.is_floating(field.type)
                ):
                    raise InputError(f"{name} is of type {field.type}; expected whole numbers")
            _check_size(table.metadata, path)
            rows = table.read(columns=[field.name for field in fields.values()])
        return loads_of_columns({name: _column(name, rows[field.name]) for name, field in fields.items()}, path)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Arrow has errors of its own for damage, some of them an OSError without a number
        if isinstance(error, OSError) and error.errno:
            raise
        raise InputError("not a readable Parquet file: damaged, cut short, or no such file at all") from None


def encode_parquet(loads: Loads) -> bytes:
    """Return the file's bytes.

    Raises
    ------
    InputError
        If pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    content = BytesIO()
    parquet.write_table(arrow.table(columns_of_loads(loads)), content)
    return content.getvalue()


def _check_size(directory: Any, path: Path) -> None:
    """Refuse more rows than such a file should have; those that are alike take next to nothing in it.

    What is read is what the row groups say they have, whatever is said of all of them together.
    """
    groups = (directory.row_group(place) for place in range(directory.num_row_groups))
    check_numbers(len(COLUMNS) * sum(max(group.num_rows, 0) for group in groups), path)


def _column(name: str, column: Any) -> NDArray[Any]:
    if column.null_count:
        raise InputError(f"{name} is empty in {column.null_count} rows; expected a number in each")
    array: NDArray[Any] = column.to_numpy()
    return array


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            "Parquet files need pyarrow, which is not installed; pip install 'equipoise[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet
