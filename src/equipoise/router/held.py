"""Held: which slots hold the experts of a layer, as a router reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Held(NamedTuple):
    """The slots of a layer's experts: an engine's own maps, or those of a :class:`equipoise.Router`.

    Attributes
    ----------
    log2phy : Tensor, int32 or int64 ``[experts, columns]``
        Slots of each expert, its primary first; padded.
    logcnt : Tensor, int32 or int64 ``[experts]``
        How many of them there are.
    """

    log2phy: Tensor
    logcnt: Tensor
