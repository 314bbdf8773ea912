"""The bytes of one slot: whatever tensors a layer has, of any type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def slot_bytes(tensors: Sequence[Tensor], slot: int) -> list[Tensor]:
    """Return what a slot holds as bytes that share memory with the tensors, uint8 ``[bytes]`` each."""
    return [tensor.detach().narrow(0, slot, 1).reshape(-1).view(torch.uint8) for tensor in tensors]


def empty_slot(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return room for what a slot holds, on the same device."""
    return [torch.empty_like(one) for one in slot_bytes(tensors, 0)]


def bytes_of_slot(tensors: Sequence[Tensor]) -> int:
    """Return how many bytes a slot has, in all tensors of a layer."""
    return sum(tensor[0].numel() * tensor.element_size() for tensor in tensors)


def check_tensors(layers: Sequence[Sequence[Tensor]], expected: int, slots: int) -> None:
    """Raise unless there are tensors for each layer, with the slots of a GPU as their first axis, one after another.

    Raises
    ------
    InputError
        If there are not, for which layer and tensor.
    """
    if len(layers) != expected:
        raise InputError(f"there are tensors of {len(layers)} layers; expected {expected}, as in the placements")
    for layer, tensors in enumerate(layers):
        if not tensors:
            raise InputError(f"layer {layer} has no tensors; expected one at least")
        for number, tensor in enumerate(tensors):
            where = f"layer {layer}, tensor {number}"
            if tensor.ndim == 0 or len(tensor) < max(slots, 1):
                raise InputError(f"{where} has shape {list(tensor.shape)}; expected [{slots} slots or more, ...]")
            if not tensor.is_contiguous():
                raise InputError(f"{where} is not contiguous; expected each slot's numbers in one piece")
