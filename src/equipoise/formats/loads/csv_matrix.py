"""Loads as a bare matrix in CSV: a row for each layer and a column for each expert, with a line of names or without.

Windows follow on each other where a recorder appends them; the file does not say where one ends, so the model has to.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError, setting
from equipoise.formats.files.columns import read_csv_matrix
from equipoise.formats.files.refusals import listed
from equipoise.formats.loads.bare_numbers import loads_of_numbers
from equipoise.formats.loads.long_form import ALSO_CALLED, COLUMNS, INDICES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.timing.known_models import Model

MOST_LAYERS = 256
"""More layers with experts than any model has: so many rows are several windows."""
EXPERT = re.compile(r"(?:e|exp|expert)?[_ -]?(\d{1,6})")
ROW_NAMES = ("", "index", "layer", *ALSO_CALLED["layer"])
"""What the first column is called where it numbers the rows."""
FEW = 3


def read_matrix(path: Path) -> NDArray[np.float64]:
    """Return the loads of a matrix in CSV, float64 ``[rows, experts]``.

    Raises
    ------
    InputError
        If a field is no number, rows differ in length, or the first line may be names as well as loads.
    """
    names, rows = read_csv_matrix(path)
    if names is None:
        _refuse_numbered_columns(rows)
        _refuse_long_form_without_names(rows)
        return rows
    if names[0].lower() in ROW_NAMES:
        _refuse_unordered_rows(rows)
        names, rows = names[1:], rows[:, 1:]
    experts = [match and int(match[1]) for match in map(EXPERT.fullmatch, (name.lower() for name in names))]
    if experts != list(range(len(names))):
        raise InputError(
            f"has the columns {listed(names)}; expected layer, expert and load, or expert_0, expert_1, ... in order"
        )
    return rows


def loads_of_matrix(rows: NDArray[Any], model: Model | None) -> Loads:
    """Return the loads of ``[rows, experts]``: a row for each layer, of one window or, where the model says, of many.

    Raises
    ------
    InputError
        If there are no rows, more than any model has layers, or other rows than the layers of whole windows.
    """
    if not rows.size:
        raise InputError("has no numbers; expected a row for each layer and a column for each expert")
    if model is None and len(rows) > MOST_LAYERS:
        raise InputError(
            f"has {len(rows)} rows, more than a model has layers, and does not say where a window ends; name the "
            f"{setting('model')}"
        )
    layers = len(model.moe_layers) if model else len(rows)
    if len(rows) % layers:
        raise InputError(
            f"has {len(rows)} rows; expected {layers} for each window, as many as the model has MoE layers"
        )
    return loads_of_numbers(rows.reshape(-1, layers, rows.shape[1]))


def _refuse_numbered_columns(rows: NDArray[np.float64]) -> None:
    """Refuse a first line 0, 1, 2, ...: names that some programs write, or loads."""
    if len(rows) > 1 and rows.shape[1] >= FEW and np.array_equal(rows[0], np.arange(rows.shape[1])):
        raise InputError(
            "has the first line 0, 1, 2, ...: names of columns, or the loads of a layer; delete it if it is names, "
            "else write a line of names above it: expert_0, expert_1, ..."
        )


def _refuse_long_form_without_names(rows: NDArray[np.float64]) -> None:
    """Refuse few columns of which all but the last number the rows, as layer, expert and load do."""
    if rows.shape[1] not in (len(INDICES), len(COLUMNS)) or len(rows) <= rows.shape[1]:
        return
    places = rows[:, :-1].tolist()
    if all(before < after for before, after in pairwise(places)):
        names = ",".join(COLUMNS[-rows.shape[1] :])
        raise InputError(
            f"has {rows.shape[1]} columns, of which the first number the rows: a table without its line of names, or "
            f"{rows.shape[1]} experts; write the line above it: {names}, or expert_0, expert_1, ..."
        )


def _refuse_unordered_rows(rows: NDArray[np.float64]) -> None:
    """Refuse numbers of layers, in the first column, that do not rise."""
    if not rows.size:
        return
    fallen = np.flatnonzero(np.diff(rows[:, 0]) <= 0)
    if len(fallen):
        raise InputError(
            f"row {fallen[0] + 2} is of layer {rows[fallen[0] + 1, 0]:g}, after layer {rows[fallen[0], 0]:g}; expected "
            "rising numbers, one row for each layer"
        )
