"""Tensors in ``.safetensors`` files, as NumPy arrays."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def opened_safetensors(path: Path) -> Iterator[Any]:
    """Open the file, to take ``keys()`` and ``get_tensor(name)`` from it.

    Raises
    ------
    InputError
        If safetensors is not installed, or the file, or a tensor that is taken, is damaged or of a type that NumPy has
        not.
    """
    try:
        from safetensors import safe_open
    except ImportError:
        raise InputError(
            "reading .safetensors needs safetensors, which is not installed; pip install 'equipoise[tensorrt-llm]'"
        ) from None
    try:
        with safe_open(path, framework="numpy") as tensors:
            yield tensors
    except (InputError, OSError, MemoryError):
        raise
    except Exception:  # safetensors and NumPy each have their own errors for damage
        raise InputError(
            "not a readable .safetensors file: damaged, cut short, or of a type that NumPy has not, such as bfloat16"
        ) from None
