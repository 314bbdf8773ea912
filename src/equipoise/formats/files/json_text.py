"""JSON text, with its errors by line and column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed, shown

if TYPE_CHECKING:
    from pathlib import Path


def read_json(path: Path) -> Any:
    """Return what the JSON file holds.

    Raises
    ------
    InputError
        If it is not JSON, not UTF-8, has a key twice in one object, or is nested or long beyond what can be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"not JSON: byte {error.start} is not UTF-8 text") from None
    except RecursionError:
        raise InputError("nested too deeply; expected lists within lists, three deep at most") from None
    except InputError:
        raise
    except ValueError as error:  # Python refuses whole numbers of thousands of digits
        raise InputError(f"not JSON that can be read: {error}") from None


def check_keys(name: str, content: Any, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    """Refuse what is no object with exactly these keys, and those that are optional.

    Raises
    ------
    InputError
        If it is no object, lacks a key, or has another.
    """
    if not isinstance(content, dict):
        raise InputError(f"{name} is {shown(content)}; expected an object with {', '.join(keys)}")
    missing = [key for key in keys if key not in content]
    unknown = [key for key in content if key not in keys + optional]
    if missing:
        raise InputError(f"{name} lacks {', '.join(missing)}; expected {', '.join(keys)}")
    if unknown:
        raise InputError(f"{name} has {listed(unknown)}; expected {', '.join(keys)} only")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these keys and values, if no key comes twice."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise InputError(f"has the key {shown(key)} twice in one object; expected it once")
        content[key] = value
    return content
