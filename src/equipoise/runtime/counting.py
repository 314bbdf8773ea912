"""The operator that counts picks: of torch's own kind, so that compiled models take it as it is.

It counts on the device of the counts and waits for nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.errors import InputError

COUNT = "equipoise::count"
AROUND = 2
"""Columns of counts beyond those of the experts: one before them and one behind, for what is no expert."""
PADDING = 1
"""Where the picks of padding are counted, as :func:`places_of` gives it: in row 0, which is no window's."""


def empty_counts(windows: int, experts: int, device: torch.device) -> Tensor:
    """Return counts of nothing, int64 ``[1 + windows, experts + 2]``; row 0 and the outer columns are not loads."""
    return torch.zeros(1 + windows, experts + AROUND, dtype=torch.int64, device=device)


def places_of(windows: Tensor, real: Tensor, experts: int) -> Tensor:
    """Return where in the counts expert 0 of each token's window is, or padding's.

    Parameters
    ----------
    windows : Tensor, int64 ``[tokens]``
        The window of each token.
    real : Tensor, bool ``[tokens]``
        Whether it is a token, not padding.
    experts : int
        Logical experts of a layer.
    """
    return torch.where(real, (windows + 1) * (experts + AROUND) + 1, PADDING)


def _count(picks: Tensor, places: Tensor, counts: Tensor) -> None:
    """Add the picks of a layer to its counts.

    Parameters
    ----------
    picks : Tensor, integers ``[tokens, top_k]``
        Experts that each token picks; what is negative, or no expert's number, is not counted.
    places : Tensor, int64 ``[tokens]``
        What :func:`places_of` returned.
    counts : Tensor, int64 ``[1 + windows, experts + 2]``
        Changed in place.
    """
    if len(picks) != len(places):
        raise InputError(
            f"the experts got {len(picks)} tokens of the model's {len(places)}; expected all of them, padding too"
        )
    picks, places = picks.to(counts.device), places.to(counts.device)
    columns = picks.clamp(-1, counts.shape[1] - AROUND)
    where = (places[:, None] + columns).flatten()
    counts.view(-1).scatter_add_(0, where, torch.ones_like(where))


count = torch.library.custom_op(
    COUNT, _count, mutates_args=("counts",), schema="(Tensor picks, Tensor places, Tensor(a!) counts) -> ()"
)
count.register_fake(lambda picks, places, counts: None)
