"""What experts cost, in files: Equipoise's own JSON, and anybody's CSV.

::

    {
     "format": "equipoise-cost",
     "version": 1,
     "device": "NVIDIA H100 80GB HBM3",
     "versions": {"torch": "2.11.0"},
     "hidden_size": 7168,
     "expert_size": 2048,
     "dtype": "bf16",
     "top_k": 8,
     "layer": 67.0,
     "expert": 14.6,
     "tiles": {"128": 16.8},
     "token": 0.0,
     "table": null,
     "sending": 0.0,
     "measured_to": 8306,
     "residual": 0.064,
     "scatter": 0.041
    }

All costs are microseconds; :class:`equipoise.timing.expert_cost.ExpertCost` says what each is. Sizes and the top-k are
null where they are not known, and ``measured_to`` where nothing was measured. ``table`` may be an object of ``tokens``
and ``microseconds``, both lists, and ``levelled``.

The CSV has the columns ``tokens`` and ``microseconds``: what so many tokens of one expert take.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.columns import read_csv_columns
from equipoise.formats.files.json_text import check_keys, read_json
from equipoise.formats.files.refusals import shown
from equipoise.formats.sniffing import Glimpse
from equipoise.timing.conditions import Conditions
from equipoise.timing.expert_cost import ExpertCost
from equipoise.timing.table import Table

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "equipoise-cost"
VERSION = 1
CONDITIONS = ("device", "versions", "hidden_size", "expert_size", "dtype", "top_k")
NUMBERS = ("layer", "expert", "token", "sending", "residual", "scatter")
KEYS = ("format", "version", *CONDITIONS, *NUMBERS, "tiles", "table", "measured_to")
COLUMNS = ("tokens", "microseconds")


def read_cost_file(path: Path) -> ExpertCost:
    """Read a cost, out of JSON where the file begins as an object does, and otherwise out of CSV.

    Raises
    ------
    InputError
        If it is neither, or holds numbers that no cost has.
    """
    return _cost(read_json(path)) if Glimpse.of(path).opens_with("{") else _cost_of_rows(path)


def encode_cost(cost: ExpertCost) -> str:
    """Return the text of a JSON file, one line a key."""
    content = {"format": FORMAT, "version": VERSION} | asdict(cost.conditions) | asdict(cost)
    del content["conditions"]
    content["measured_to"] = cost.measured_to if isfinite(cost.measured_to) else None
    return "{\n" + ",\n".join(f' "{key}": {json.dumps(value)}' for key, value in content.items()) + "\n}\n"


def _cost_of_rows(path: Path) -> ExpertCost:
    rows = read_csv_columns(COLUMNS, path)
    table = Table(rows["tokens"], rows["microseconds"])
    return ExpertCost(table=table, measured_to=table.tokens[-1])


def _cost(content: Any) -> ExpertCost:
    if content.get("format") != FORMAT:
        raise InputError(f'not a cost; expected a JSON object with "format": "{FORMAT}", or CSV')
    if type(content.get("version")) is not int or content["version"] != VERSION:
        raise InputError(f"version is {shown(content.get('version'))}; this Equipoise reads version {VERSION}")
    check_keys("the cost", content, KEYS)
    return ExpertCost(
        **{name: _number(name, content[name]) for name in NUMBERS},
        tiles=_tiles(content["tiles"]),
        table=None if content["table"] is None else _table(content["table"]),
        measured_to=inf if content["measured_to"] is None else _number("measured_to", content["measured_to"]),
        conditions=_conditions(content),
    )


def _conditions(content: Any) -> Conditions:
    for key in ("device", "dtype"):
        _check_text(key, content[key])
    if not isinstance(content["versions"], dict):
        raise InputError(f"versions is {shown(content['versions'])}; expected an object of names and versions")
    for program, version in content["versions"].items():
        _check_text(f"versions: {shown(program)}", version)
    return Conditions(**{key: content[key] for key in CONDITIONS})


def _tiles(tiles: Any) -> dict[int, float]:
    if not isinstance(tiles, dict):
        raise InputError(f"tiles is {shown(tiles)}; expected an object of rows and microseconds")
    for rows in tiles:
        if not (rows.isascii() and rows.isdecimal() and len(rows) < 10):
            raise InputError(f"tiles has {shown(rows)} for a number of rows; expected a whole number")
    return {int(rows): _number(f"tiles: {rows}", cost) for rows, cost in tiles.items()}


def _table(table: Any) -> Table:
    check_keys("table", table, (*COLUMNS, "levelled"))
    for key in COLUMNS:
        if not isinstance(table[key], list):
            raise InputError(f"table: {key} is {shown(table[key])}; expected a list of numbers")
    tokens, microseconds = ([_number(f"table: {key}", value) for value in table[key]] for key in COLUMNS)
    return Table(tokens, microseconds, _number("table: levelled", table["levelled"]))


def _number(name: str, value: Any) -> float:
    """Return a number that is not negative, as a float."""
    if type(value) not in (int, float) or not 0 <= value <= 1e18:
        raise InputError(f"{name} is {shown(value)}; expected a number from 0 to 1e18")
    return float(value)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}; expected a text")
