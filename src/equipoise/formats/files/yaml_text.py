"""YAML text of the plain kind: mappings, lists, whole numbers and words; nothing that refers to something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.refusals import shown

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
DEPTH = 8


def read_yaml(path: Path) -> Any:
    """Return the document that the file holds, built from the parser's events alone.

    Anchors, aliases and tags are refused: with them, a few lines can stand for more than any memory holds.

    Raises
    ------
    InputError
        If PyYAML is not installed, or the file is not YAML, holds more or less than one document, has a key twice in
        one mapping, or is nested deeper than eight levels.
    """
    try:
        import yaml
    except ImportError:
        raise InputError(
            "reading a YAML file needs PyYAML, which is not installed; pip install 'equipoise[tensorrt-llm]'"
        ) from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with path.open("rb") as file:
            return _document(yaml.parse(file, Loader=loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"from line {mark.line + 1}, column {mark.column + 1} on" if mark else "throughout"
        raise InputError(f"not YAML {where}; expected mappings, lists, numbers and words") from None
    except UnicodeDecodeError as error:
        raise InputError(f"not YAML: byte {error.start} is not UTF-8 text") from None


def _document(events: Any) -> Any:
    """Build mappings as dicts and sequences as lists, without recursion."""
    documents: list[Any] = []
    inside: list[list[Any]] = [documents]  # the parts of what is open, a mapping's keys and values in turn
    for event in events:
        kind, line = type(event).__name__, event.start_mark.line + 1
        if kind == "AliasEvent" or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise InputError(f"line {line}: has an anchor, alias or tag; expected plain numbers, lists and mappings")
        if kind == "ScalarEvent":
            inside[-1].append(_scalar(event))
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            if len(inside) > DEPTH:
                raise InputError(f"line {line}: nested too deeply; expected at most {DEPTH} levels")
            inside.append([])
        elif kind == "SequenceEndEvent":
            parts = inside.pop()
            inside[-1].append(parts)
        elif kind == "MappingEndEvent":
            parts = inside.pop()
            inside[-1].append(_mapping(parts, line))
    if len(documents) != 1:
        raise InputError(f"holds {len(documents)} YAML documents; expected one")
    return documents[0]


def _scalar(event: Any) -> int | str:
    """Return a whole number where it is written as one, otherwise the text."""
    plain = event.implicit[0]  # neither quoted nor a block of text
    return int(event.value) if plain and WHOLE.fullmatch(event.value) else str(event.value)


def _mapping(parts: list[Any], line: int) -> dict[int | str, Any]:
    content: dict[int | str, Any] = {}
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        if not isinstance(key, int | str):
            raise InputError(f"line {line}: has {shown(key)} for a key; expected a number or a word")
        if key in content:
            raise InputError(f"line {line}: has the key {shown(key)} twice in one mapping; expected it once")
        content[key] = value
    return content
