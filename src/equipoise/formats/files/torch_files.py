"""What ``torch.save`` wrote, read without running code from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.refusals import shown
from equipoise.formats.files.size_guard import check_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_torch(path: Path) -> Any:
    """Return what the file holds: tensors on the CPU, numbers, texts, lists and dicts.

    Raises
    ------
    InputError
        If torch is not installed, or the file is damaged or holds other Python objects.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading a .pt file needs torch, which is not installed; pip install 'equipoise[torch]'"
        ) from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file can fail anywhere in the unpickling
        reason = str(error).partition("\n")[0]
        raise InputError(f"not a torch file that can be read without running code from it: {reason}") from None


def is_tensor(value: Any) -> bool:
    """Return whether it is a tensor."""
    import torch

    return isinstance(value, torch.Tensor)


def as_array(name: str, tensor: Any, path: Path) -> NDArray[Any]:
    """Return a tensor of the file as an array, floats as float64.

    Raises
    ------
    InputError
        If it is no tensor, has no array, or claims more numbers than the file can hold.
    """
    if not is_tensor(tensor):
        raise InputError(f"{name} is {shown(tensor)}; expected a tensor")
    check_numbers(tensor.numel(), path)
    try:
        return np.asarray(tensor.double() if tensor.is_floating_point() else tensor)
    except Exception as error:  # sparse, quantized and meta tensors have no array
        raise InputError(f"{name} cannot become an array: {error}") from None
