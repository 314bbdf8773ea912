"""CSV of every rank, by a rank in each name: what SGLang's older recorder and MindIE's collection of hotspots write.

SGLang's are in long form and of all experts: ranks are added up. MindIE's are matrices of the experts that the NPU
holds: they stand side by side. A rank may have dumped several times: each dump is a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError, setting
from equipoise.formats.files.at_hand import at_hand
from equipoise.formats.files.refusals import naming
from equipoise.formats.loads.csv_loads import is_in_long_form, read_long_form
from equipoise.formats.loads.csv_matrix import loads_of_matrix, read_matrix
from equipoise.formats.loads.long_form import loads_of_columns
from equipoise.formats.loads.ranks import dumps_of_ranks, rank_in
from equipoise.loads import Loads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.formats.sniffing import Glimpse
    from equipoise.timing.known_models import Model

SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
MOST_EXPERTS = 1024
"""More experts than a layer of any model has."""


def is_csv_ranks(glimpse: Glimpse) -> bool:
    """Return whether it is a folder of CSV files, and each says which rank's it is."""
    return not glimpse.head and are_csv_of_ranks(glimpse.names)


def are_csv_of_ranks(names: Sequence[str], all_of_them: bool = False) -> bool:
    """Return whether there are CSV files among the names, or all are, and each of them has a rank."""
    tables = [name for name in names if name.lower().endswith(SUFFIXES)]
    enough = len(tables) == len(names) if all_of_them else bool(tables)
    return enough and all(rank_in(name) is not None for name in tables)


def read_csv_ranks(path: Path, model: Model | None = None) -> Loads:
    """Read the CSV files of all ranks in a folder.

    Raises
    ------
    InputError
        As :func:`read_csv_of_ranks`, or if it is no folder.
    """
    if not path.is_dir():
        raise InputError("is no folder; expected the one that holds the files of all ranks")
    return read_csv_of_ranks([file for file in path.iterdir() if file.name.lower().endswith(SUFFIXES)], model)


def read_csv_of_ranks(files: Sequence[Path], model: Model | None = None) -> Loads:
    """Read the CSV files of all ranks, each dump a window.

    Parameters
    ----------
    files : sequence of Path
        The files, in any order.
    model : Model, optional
        Says how many rows of matrices are a window, and whether they have all experts or those of one NPU.

    Raises
    ------
    InputError
        If a rank's file is missing or damaged, or those of a dump do not fit each other.
    """
    dumps = dumps_of_ranks(files)
    with naming(dumps[0][0].relative_to(dumps[0][0].parent)), at_hand(dumps[0][0]) as table:
        in_long_form = is_in_long_form(table)
    if in_long_form:
        return _in_long_form(dumps)
    return _of_matrices(dumps, model)


def _in_long_form(dumps: Sequence[Sequence[Path]]) -> Loads:
    """Return the rows of all files as one table, so that what one rank did not see is zero there."""
    found: list[dict[str, NDArray[Any]]] = []
    for window, dump in enumerate(dumps):
        for rank, file in enumerate(dump):
            with naming(file.relative_to(file.parent)), at_hand(file) as table:
                columns = read_long_form(table)
            if "window" in columns and len(dumps) > 1:
                raise InputError(f"{file.name} has windows, and its rank other files; expected the one or the other")
            rows = len(columns["load"])
            columns.setdefault("window", np.full(rows, float(window)))
            found.append(columns | {"rank": np.full(rows, float(rank))})
    return loads_of_columns(
        {name: np.concatenate([columns[name] for columns in found]) for name in found[0]},
        [file for dump in dumps for file in dump],
    )


def _of_matrices(dumps: Sequence[Sequence[Path]], model: Model | None) -> Loads:
    counts = [_of_one_dump(dump, model).counts for dump in dumps]
    for number, window in enumerate(counts):
        if window.shape[1:] != counts[0].shape[1:]:
            raise InputError(
                f"dump {number} has layers x experts {list(window.shape[1:])}, dump 0 {list(counts[0].shape[1:])}; "
                "expected the same"
            )
    return Loads(np.concatenate(counts))


def _of_one_dump(dump: Sequence[Path], model: Model | None) -> Loads:
    """Return the loads of one matrix of each rank, side by side, or added if each has all experts."""
    matrices: list[NDArray[np.float64]] = []
    for file in dump:
        with naming(file.relative_to(file.parent)), at_hand(file) as table:
            matrices.append(rows := read_matrix(table))
            if len(rows) != len(matrices[0]):
                raise InputError(f"has {len(rows)} rows, {dump[0].name} {len(matrices[0])}; expected as many")
    widths = {matrix.shape[1] for matrix in matrices}
    if model is not None and widths == {model.experts}:
        return loads_of_matrix(np.sum(matrices, axis=0), model)
    side_by_side = np.hstack(matrices)
    if model is None and side_by_side.shape[1] > MOST_EXPERTS:
        raise InputError(
            f"has {side_by_side.shape[1]} experts, those of all ranks side by side, more than a model has; name the "
            f"{setting('model')} if each rank's file has all of them"
        )
    return loads_of_matrix(side_by_side, model)
