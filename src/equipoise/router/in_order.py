"""in_order(): each pick's slot where every replica gets its quota to the pick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def in_order(picks: Tensor, ends: Tensor, log2phy: Tensor) -> Tensor:
    """Return the slot of each pick: of an expert's picks the first go to its first replica, as many as are its quota.

    Parameters
    ----------
    picks : Tensor, int32 or int64 ``[tokens, top_k]``
        Experts; what is none passes through.
    ends : Tensor, int32 ``[experts, replicas]``
        Where in an expert's picks each replica's part ends.
    log2phy : Tensor, ``[experts, columns]``
        Slots of each expert.
    """
    shape, picks = picks.shape, picks.flatten()
    inside = (picks >= 0) & (picks < len(ends))
    ordered, order = torch.sort(torch.where(inside, picks, len(ends)), stable=True)
    place = torch.arange(len(picks), device=picks.device) - torch.searchsorted(ordered, ordered)
    earlier = torch.empty_like(place).scatter_(0, order, place)  # picks of the same expert before this one
    expert = torch.where(inside, picks, 0).long()
    which = torch.where(inside, (ends[expert] <= earlier[:, None]).sum(dim=1), 0)
    return torch.where(inside, log2phy[expert, which].to(picks.dtype), picks).view(shape)
