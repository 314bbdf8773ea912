"""ShardedExperts: one layer's experts, of which each GPU holds those in its slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn
    from torch.distributed import ProcessGroup

    from equipoise.cluster import Cluster

    Route = Callable[[Tensor], Tensor]


class ShardedExperts(torch.nn.Module):
    """Takes the place of a block's experts: sends each pick to a slot of its expert, and brings back what that makes.

    Parameters
    ----------
    experts : nn.Module
        All experts of the layer, stacked: parameters and buffers whose first axis they are, and a forward of hidden
        states ``[tokens, hidden]``, picks and their weights ``[tokens, top_k]``. It keeps those of this GPU.
    held : sequence of int
        The expert in each slot of this GPU.
    route : callable
        From picks ``[tokens, top_k]`` to slots of all GPUs.
    """

    picked: Tensor

    def __init__(self, experts: Any, held: Sequence[int], route: Route) -> None:
        super().__init__()
        self.experts, self.route, self.slots_per_gpu = experts, route, len(held)
        number = int(experts.num_experts)
        for name, tensor in stacked(experts):
            mine = tensor.detach()[list(held)].contiguous()
            is_parameter = name in experts._parameters
            setattr(experts, name, torch.nn.Parameter(mine, tensor.requires_grad) if is_parameter else mine)
        experts.num_experts = len(held)
        self.register_buffer("picked", torch.zeros(number, dtype=torch.int64), persistent=False)

    def spread(self, cluster: Cluster, group: ProcessGroup | None) -> None:
        """Say which GPUs take part from here on: the live ones of a cluster, which are the ranks of the group."""
        self.group, self._ranks = group, len(cluster.live)
        self._rank_of = torch.full((cluster.gpus + 1,), self._ranks, device=self.picked.device)
        self._rank_of[list(cluster.live)] = torch.arange(self._ranks, device=self.picked.device)

    @property
    def tensors(self) -> list[Tensor]:
        """What the slots hold, slots first."""
        return [tensor.detach() for _, tensor in stacked(self.experts)]

    def forward(self, hidden: Tensor, picks: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of what each token's experts make of it, ``[tokens, hidden]``.

        Parameters
        ----------
        hidden : Tensor ``[tokens, hidden]``
            Of this GPU's tokens.
        picks : Tensor, int ``[tokens, top_k]``
            Experts that each token picks; what is none, such as padding, adds nothing.
        weights : Tensor ``[tokens, top_k]``
            Of each pick.
        """
        slots = self.route(picks).flatten()
        inside = (picks.flatten() >= 0) & (picks.flatten() < len(self.picked))
        self.picked += torch.bincount(picks.flatten()[inside].long(), minlength=len(self.picked))
        rank = self._rank_of[torch.where(inside, slots // self.slots_per_gpu, -1)]  # the last is nobody's
        order = torch.argsort(rank, stable=True)[: int(inside.sum())]
        sent = torch.bincount(rank[order], minlength=self._ranks)
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, group=self.group)

        to, back = sent.tolist(), received.tolist()
        there = self._exchanged(hidden[order // picks.shape[1]], back, to)
        slot = self._exchanged(slots[order] % self.slots_per_gpu, back, to)
        weight = self._exchanged(weights.flatten()[order], back, to)
        made = self.experts(there, slot[:, None].long(), weight[:, None])
        each = torch.zeros(picks.numel(), hidden.shape[1], dtype=made.dtype, device=hidden.device)
        each[order] = self._exchanged(made, to, back)
        return each.view(*picks.shape, -1).sum(dim=1).to(hidden.dtype)

    def _exchanged(self, rows: Tensor, received: list[int], sent: list[int]) -> Tensor:
        """Return the rows that the others send here, in the order of their ranks."""
        found = rows.new_empty(sum(received), *rows.shape[1:])
        dist.all_to_all_single(found, rows.contiguous(), received, sent, group=self.group)
        return found


def stacked(experts: nn.Module) -> list[tuple[str, Tensor]]:
    """Return the parameters and buffers of experts whose first axis they are, by name.

    Raises
    ------
    InputError
        If there are none.
    """
    number = getattr(experts, "num_experts", None)
    both = [*experts.named_parameters(recurse=False), *experts.named_buffers(recurse=False)]
    found = [(name, tensor) for name, tensor in both if tensor.ndim and len(tensor) == number]
    if not found:
        raise InputError(f"{type(experts).__name__} has no tensors stacked by expert; expected [num_experts, ...]")
    return found
