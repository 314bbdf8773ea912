"""Loads as JSON: plain lists, a recorder's ``logical_count``, or a ``load_history`` of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.json_text import read_json
from equipoise.formats.files.refusals import listed, shown
from equipoise.loads import Loads

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.sniffing import Glimpse

NUMBERS = frozenset({int, float})


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
        return _loads(content)
    if isinstance(content, dict) and "logical_count" in content:
        return _loads(content["logical_count"])
    if isinstance(content, dict) and "load_history" in content:
        return _loads(_windows(content["load_history"]))
    found = f"the keys {listed(content)}" if isinstance(content, dict) else "a single value"
    raise InputError(
        f"holds {found}; expected loads as lists [layers][experts], or under logical_count or load_history"
    )


def _loads(lists: Any) -> Loads:
    """Return the loads in lists of numbers; of text, NumPy would make everything as long as the longest."""
    waiting = [lists]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            raise InputError(f"holds the text {shown(inner)}; expected lists of numbers")
        if isinstance(inner, list) and not NUMBERS.issuperset(map(type, inner)):
            waiting.extend(inner)
    return Loads(lists)


def _windows(history: Any) -> list[Any]:
    """Return the loads of each window of a history."""
    if not isinstance(history, list):
        raise InputError("load_history is not a list; expected one entry per window")
    for window, entry in enumerate(history):
        if not isinstance(entry, dict) or "logical_expert_load" not in entry:
            raise InputError(f"load_history[{window}] has no logical_expert_load; expected one in every entry")
    return [entry["logical_expert_load"] for entry in history]
