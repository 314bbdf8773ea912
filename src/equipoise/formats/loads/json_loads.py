"""Loads as JSON: plain lists, a recorder's ``logical_count``, or a ``load_history`` of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.json_text import read_json
from equipoise.formats.files.refusals import listed
from equipoise.formats.loads.bare_numbers import loads_of_lists

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.sniffing import Glimpse
    from equipoise.loads import Loads


def is_json_loads(glimpse: Glimpse) -> bool:
    """Return whether it begins as a JSON list or object does."""
    return glimpse.opens_with("[", "{")


def read_json_loads(path: Path) -> Loads:
    """Read loads from JSON of one of three forms.

    - ``[[...], ...]``: ``[layers][experts]``, or one axis less or more, as :class:`Loads` takes them;
    - ``{"logical_count": [[...], ...]}``: the same under a name, as recorders write it;
    - ``{"load_history": [{"logical_expert_load": [[...], ...]}, ...]}``: one window each.

    Raises
    ------
    InputError
        If the file is not JSON, has none of these forms, or holds something else than numbers.
    """
    content = read_json(path)
    if isinstance(content, list):
        return loads_of_lists(content)
    if isinstance(content, dict) and "logical_count" in content:
        return loads_of_lists(content["logical_count"])
    if isinstance(content, dict) and "load_history" in content:
        return loads_of_lists(_windows(content["load_history"]))
    found = f"the keys {listed(content)}" if isinstance(content, dict) else "a single value"
    raise InputError(
        f"holds {found}; expected loads as lists [layers][experts], or under logical_count or load_history"
    )


def _windows(history: Any) -> list[Any]:
    """Return the loads of each window of a history."""
    if not isinstance(history, list):
        raise InputError("load_history is not a list; expected one entry per window")
    for window, entry in enumerate(history):
        if not isinstance(entry, dict) or "logical_expert_load" not in entry:
            raise InputError(f"load_history[{window}] has no logical_expert_load; expected one in every entry")
    return [entry["logical_expert_load"] for entry in history]
