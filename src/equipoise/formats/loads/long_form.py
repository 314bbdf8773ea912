"""Loads in long form: a table with the columns window, layer, expert and load, one row for each that is not zero.

Recorders call the columns by other names, leave out ``window`` where there is one, and may have a ``rank``: what the
ranks have of an expert is added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.size_guard import check_numbers
from equipoise.formats.loads.counts import recorded_counts
from equipoise.loads import Loads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

INDICES = ("window", "layer", "expert")
COLUMNS = (*INDICES, "load")
READ = (*COLUMNS, "rank")
OPTIONAL = ("window", "rank")
ALSO_CALLED = {
    "window": ("step", "iteration", "iter", "window_id", "forward_pass_id"),
    "layer": ("layer_id", "layer_idx", "layer_index", "moe_layer", "moe_layer_id"),
    "expert": ("expert_id", "expert_idx", "expert_index", "logical_expert", "logical_expert_id"),
    "load": ("count", "counts", "tokens", "token_count", "num_tokens", "expert_load", "logical_count"),
    "rank": ("rank_id", "ep_rank"),
}
"""What recorders call the columns."""


def loads_of_columns(columns: Mapping[str, NDArray[Any]], path: Path | Sequence[Path]) -> Loads:
    """Return the loads that the rows stand for; what has no row is zero.

    Windows and layers are those that have a row, in the order of their numbers, which need not begin at 0 nor follow
    on each other; if they do both, those of layers may be the model's own or not. Experts keep their numbers.

    Parameters
    ----------
    columns : mapping of str to array
        The columns ``layer``, ``expert`` and ``load``, and ``window`` and ``rank`` where there are any.
    path : Path or sequence of Path
        Where they are from.

    Raises
    ------
    InputError
        If there is no row, an index is no whole number of at least 0, two rows are for the same expert, or the rows
        stand for more than a file of this size should.
    """
    rows = len(columns["load"])
    if rows == 0:
        raise InputError("has no rows; expected one for each window, layer and expert")
    indices = {name: _index(name, columns.get(name, np.zeros(rows))) for name in (*INDICES, "rank")}
    windows, window = np.unique(indices["window"], return_inverse=True)
    layers, layer = np.unique(indices["layer"], return_inverse=True)
    shape = (len(windows), len(layers), int(indices["expert"].max()) + 1)
    check_numbers(shape[0] * shape[1] * shape[2], path)
    place = np.ravel_multi_index((window, layer, indices["expert"]), shape)
    _refuse_two_of_one(place, indices["rank"])
    counts = np.zeros(shape)
    np.add.at(counts.ravel(), place, columns["load"])
    numbers = layers.tolist()
    return Loads(counts, decoder_layers=None if numbers == list(range(len(numbers))) else numbers)


def columns_of_loads(loads: Loads) -> dict[str, NDArray[Any]]:
    """Return the columns with a row for every window, layer and expert, in this order."""
    counts = recorded_counts(loads)
    window, layer, expert = np.indices(counts.shape, dtype=np.int32)
    if loads.decoder_layers:
        layer = np.array(loads.decoder_layers, np.int32)[layer]
    return {"window": window.ravel(), "layer": layer.ravel(), "expert": expert.ravel(), "load": counts.ravel()}


def _index(name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return a column as int64."""
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~((values >= 0) & (values < 2**53) & (values % 1 == 0)))
    if len(bad):
        raise InputError(f"row {bad[0] + 1}: {name} is {values[bad[0]]}; expected a whole number of at least 0")
    return values.astype(np.int64)


def _refuse_two_of_one(place: NDArray[np.int64], rank: NDArray[np.int64]) -> None:
    """Refuse two rows with the same window, layer, expert and rank."""
    order = np.lexsort((rank, place))
    again = np.flatnonzero((np.diff(place[order]) == 0) & (np.diff(rank[order]) == 0))
    if len(again):
        first, second = order[again[0]] + 1, order[again[0] + 1] + 1
        raise InputError(f"rows {first} and {second} are for the same window, layer and expert; expected one row")
