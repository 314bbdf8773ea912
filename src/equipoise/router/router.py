"""Router: START HERE. From the experts that a batch picks to slots, each GPU by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError, setting
from equipoise.router.primary_first import primary_first
from equipoise.router.rules import FLOOR, RoutingRules

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from equipoise.placement import Placement


class Router:
    """Chooses the replica of each pick so that what this GPU sends to the others is even.

    The picks of an expert with several replicas are shared out over their GPUs, the emptiest first; no GPU asks
    another. Where all route the same tokens, all choose the same. On NVIDIA's and AMD's GPUs kernels do it, in two or
    three launches that fit a CUDA graph; elsewhere torch does, with the same result.

    Parameters
    ----------
    placement : Placement
        What is live.
    rank : int, optional
        The number of this GPU, where each GPU brings tokens of its own; without it, all route the same tokens.
    floor : int
        Picks, of all GPUs together, up to which an expert is not split: its primary takes them all. Below some 256, on
        an H100, what an expert takes is its weights; see :attr:`equipoise.ExpertCost.floor`.
    device : str or torch.device
        Where the picks are.

    Raises
    ------
    InputError
        If the rank is no live GPU, or the floor no whole number from 0 on.

    Examples
    --------
    >>> import torch
    >>> from equipoise import Cluster, Placement, Router
    >>> placement = Placement([[0, 1, 0, 2]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    >>> router = Router(placement, floor=0)
    >>> router(torch.tensor([[0], [0], [0], [0], [1], [1]]), layer=0, exact=True).flatten().tolist()
    [0, 2, 2, 2, 1, 1]
    """

    def __init__(
        self,
        placement: Placement,
        rank: int | None = None,
        floor: int = FLOOR,
        device: str | torch.device = "cpu",
    ) -> None:
        import torch

        self.rules = RoutingRules(placement.cluster, placement.experts, rank, floor)
        self._log2phy, self._logcnt = (torch.from_numpy(array).to(device) for array in self._maps(placement))

    def place(self, placement: Placement) -> None:
        """Take over a new placement, once its weights are there; graphs that were captured before go on with it.

        Parameters
        ----------
        placement : Placement
            Of the same cluster, layers and experts.

        Raises
        ------
        InputError
            If it is of others.
        """
        import torch

        expected = self.rules.cluster, len(self._logcnt), self.rules.experts
        found = placement.cluster, placement.layers, placement.experts
        if found != expected:
            names = "{}, {} layers and {} experts"
            raise InputError(f"the placement is of {names.format(*found)}; expected {names.format(*expected)}")
        for kept, new in zip((self._log2phy, self._logcnt), self._maps(placement), strict=True):
            kept.copy_(torch.from_numpy(new))

    def _maps(self, placement: Placement) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the slots of each expert, ``[layers, experts, rules.replicas]``, and how many they are."""
        most = self.rules.replicas
        slots = primary_first(placement)[:, :, :most]
        padded = np.pad(slots, ((0, 0), (0, 0), (0, most - slots.shape[2])), constant_values=-1)
        return padded.astype(np.int32), np.minimum(placement.logcnt, most).astype(np.int32)

    def __call__(self, picks: torch.Tensor, layer: int, exact: bool = False) -> torch.Tensor:
        """Return the slot of each pick.

        Parameters
        ----------
        picks : torch.Tensor, int32 or int64 ``[tokens, top_k]``
            Experts that each token picks; -1, and whatever else is no expert, passes through and is not counted.
        layer : int
            Number of the MoE layer, from 0.
        exact : bool
            Whether each replica gets its quota to the pick, in the order of the tokens; else a token's number in the
            batch chooses in a table, which is quicker, and off by a few picks.

        Returns
        -------
        slots : torch.Tensor
            In the shape and type of ``picks``.

        Raises
        ------
        InputError
            If the picks are no whole numbers ``[tokens, top_k]``, or there is no such layer.
        """
        import torch

        from equipoise.router.held import Held
        from equipoise.router.operators import route

        if picks.dtype not in (torch.int32, torch.int64) or picks.ndim != 2:
            found = f"{picks.dtype} {list(picks.shape)}"
            raise InputError(f"the picks are {found}; expected int32 or int64 [tokens, top_k]")
        if not 0 <= layer < len(self._logcnt):
            raise InputError(f"{setting('layer')} is {layer}; expected one of 0 to {len(self._logcnt) - 1}")
        return route(picks, Held(self._log2phy[layer], self._logcnt[layer]), self.rules, exact)
