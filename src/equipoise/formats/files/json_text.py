"""JSON text, with its errors by line and column."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLANKS = " \t\n\r"
MOST_SHOWN = 12


def read_json(path: Path) -> Any:
    """Return what the JSON file holds.

    Raises
    ------
    InputError
        If it is not JSON, not UTF-8, has a key twice in one object, or is nested or long beyond what can be read.
    """
    with _refusing():
        return json.loads(_text(path), object_pairs_hook=_object)


def read_json_documents(path: Path) -> Iterator[Any]:
    """Yield what each JSON document of the file holds; there may be several, such as one on each line.

    Raises
    ------
    InputError
        As :func:`read_json`.
    """
    with _refusing():
        text, decoder = _text(path), json.JSONDecoder(object_pairs_hook=_object)
    end = _after_blanks(text, 0)
    while end < len(text):
        with _refusing():
            document, end = decoder.raw_decode(text, end)
        yield document
        end = _after_blanks(text, end)


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


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def _after_blanks(text: str, start: int) -> int:
    while text[start : start + 1] in BLANKS and start < len(text):
        start += 1
    return start


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what Python raises for what is no JSON into a refusal."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: line {error.lineno}, column {error.colno}: {_found(error)}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"not JSON: byte {error.start} is not UTF-8 text") from None
    except RecursionError:
        raise InputError("nested too deeply; expected lists within lists, three deep at most") from None
    except InputError:
        raise
    except ValueError:  # Python refuses whole numbers of thousands of digits
        raise InputError("holds a whole number of thousands of digits; expected numbers of 64 bits") from None


def _found(error: json.JSONDecodeError) -> str:
    """Say what is where JSON ends to be JSON."""
    rest = error.doc[error.pos :].strip()
    if not rest:
        return "the text ends there, and lists or objects are open; is the file whole?"
    return f"found {shown(rest[:MOST_SHOWN])}; expected a value, or what goes on with or closes a list or an object"
