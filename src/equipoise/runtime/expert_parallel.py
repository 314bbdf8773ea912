"""ExpertParallel: START HERE. A model whose experts are spread over GPUs, and stay balanced while it serves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from equipoise.errors import InputError
from equipoise.loads import Loads
from equipoise.placement import Placement
from equipoise.planner import plan
from equipoise.router.router import Router
from equipoise.router.rules import FLOOR
from equipoise.runtime.exchange import ExpertExchange
from equipoise.runtime.sharded_experts import ShardedExperts
from equipoise.runtime.survivors import find_survivors, regroup

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch._C._distributed_c10d import Store
    from torch.distributed import ProcessGroup

    from equipoise.planning.plan import Plan
    from equipoise.runtime.exchange import Restore

EXPERTS = "Experts"  # what classes of stacked experts end with, in transformers


class ExpertParallel:
    """Spreads the experts of a model's MoE blocks over GPUs by a placement; each GPU brings tokens of its own.

    The model is changed in place and called as before, on all GPUs equally often. Its routers pick experts; the picks
    go to slots by :class:`equipoise.Router`, and are counted. :meth:`replan` plans from the counts and begins to move
    weights; each :meth:`step` after that lets a part of them take their slots. It shows how the parts work together,
    and is a start for those without an engine: it has no batching and no cache of its own.

    Parameters
    ----------
    model : nn.Module
        With modules whose class ends in ``Experts`` and that hold stacked tensors, as transformers has them.
    placement : Placement
        Its layers are those modules, in order.
    group : ProcessGroup, optional
        The live GPUs, in the order of their numbers; all if not given.
    move_group : ProcessGroup, optional
        Another of the same GPUs, in which weights move while the model communicates in the first.
    floor : int
        Picks, of all GPUs together, up to which an expert is not split.

    Attributes
    ----------
    placement : Placement
        What is live.

    Raises
    ------
    InputError
        If the placement has other layers or experts than the model.
    """

    def __init__(
        self,
        model: nn.Module,
        placement: Placement,
        group: ProcessGroup | None = None,
        move_group: ProcessGroup | None = None,
        floor: int = FLOOR,
    ) -> None:
        blocks = [name for name, module in model.named_modules() if type(module).__name__.endswith(EXPERTS)]
        found: list[Any] = [model.get_submodule(name) for name in blocks]
        if len(found) != placement.layers or any(one.num_experts != placement.experts for one in found):
            numbers = sorted({int(one.num_experts) for one in found})
            raise InputError(
                f"the model has {len(found)} layers of {numbers} experts, the placement {placement.layers} of "
                f"{placement.experts}; expected the same"
            )
        self.placement, self._groups, self._floor = placement, (group, move_group or group), floor
        self._gpu = placement.cluster.live[dist.get_rank(group)]
        self._router = Router(placement, self._gpu, floor, next(model.parameters()).device)
        self._exchange: ExpertExchange | None = None
        self._loads: Loads | None = None
        self._layers: list[ShardedExperts] = []
        for layer, name in enumerate(blocks):
            held = placement.by_gpu[layer, self._gpu].tolist()
            sharded = ShardedExperts(found[layer], held, self._routing(layer))
            sharded.spread(placement.cluster, group)
            self._layers.append(sharded)
            model.set_submodule(name, sharded)

    def _routing(self, layer: int) -> Any:
        def route(picks: Tensor) -> Tensor:
            return self._router(picks, layer)

        return route

    @property
    def tensors(self) -> list[list[Tensor]]:
        """The tensors of each layer, with this GPU's slots first."""
        return [layer.tensors for layer in self._layers]

    def loads(self) -> Loads:
        """Return how often all GPUs picked each expert since this was last asked, and begin to count anew."""
        counts = torch.stack([layer.picked for layer in self._layers])
        dist.all_reduce(counts, group=self._groups[0])
        for layer in self._layers:
            layer.picked.zero_()
        return Loads(counts.cpu().numpy())

    def replan(self, **settings: Any) -> Plan:
        """Plan for what was counted, and begin to move weights in the background; on all GPUs at once.

        Parameters
        ----------
        **settings
            Of :func:`equipoise.plan`, such as ``max_moves``. The routing is filled unless another is given.

        Raises
        ------
        InputError
            If the last plan's weights have not all taken their slots.
        """
        if self._exchange:
            raise InputError("weights are still on their way; expected a step() until all of them are there")
        self._loads = self.loads()
        chosen = {"routing": "filled"} | settings
        found = plan(self._loads, self.placement.cluster, current=self.placement, **chosen)
        self._begin(found.placement)
        return found

    def step(self) -> bool:
        """Let the weights that are on their way take their slots; return whether any did. On all GPUs at once.

        Raises
        ------
        ExchangeError
            If a rank is gone. What was live stays so.
        """
        if self._exchange is None:
            return False
        self._take_over(self._exchange.commit())
        if self._exchange.done:
            self._exchange = None
        else:
            self._exchange.begin()
        return True

    def survive(self, store: Store, restore: Restore | None = None, seconds: float = 10, **settings: Any) -> list[int]:
        """Go on without the GPUs that are gone; call it where one of them made a call fail. Return their numbers.

        The survivors make a new default group, plan without the others from what each of them holds, and move what the
        plan needs. What only GPUs that are gone held comes from ``restore``. Tokens that were on their way are lost:
        run the last batch again.

        Parameters
        ----------
        store : Store
            One that no rank serves that may be gone, such as a ``FileStore``; a new one each time.
        restore : callable, optional
            ``restore(layer, expert)`` returns the expert's tensors in that layer.
        seconds : float
            How long the others may take to notice, and then to answer.
        **settings
            Of :func:`equipoise.plan`.

        Raises
        ------
        InputError
            If experts are lost and nothing restores them, or the slots that are left do not hold all experts.
        """
        cluster, backend = self.placement.cluster, dist.get_backend(self._groups[0])
        survivors = find_survivors(store, self._gpu, cluster.live, seconds)
        regroup(store, self._gpu, survivors, seconds, backend)
        self._groups, self._exchange = (None, None), None
        gone = sorted(set(cluster.live) - set(survivors))
        smaller = replace(cluster, dead=sorted({*cluster.dead, *gone}))
        held = self._held_by(survivors, smaller.gpus)
        for layer in self._layers:
            layer.spread(smaller, None)
        loads = self._known_loads()
        chosen = {"routing": "filled"} | settings
        after = plan(loads, smaller, current=held, **chosen).placement
        exchange = ExpertExchange(self.tensors, (replace(held, cluster=smaller), after), restore=restore)
        while not exchange.done:
            exchange.begin()
            exchange.commit()
        self._router = Router(after, self._gpu, self._floor, self._layers[0].picked.device)
        self.placement = after
        return gone

    def _held_by(self, survivors: list[int], gpus: int) -> Placement:
        """Return what is in the survivors' slots: after an exchange was cut short, some may be ahead of others."""
        own = torch.from_numpy(self.placement.by_gpu[:, self._gpu].copy())
        every = [torch.empty_like(own) for _ in survivors]
        dist.all_gather(every, own)
        slots = np.full((self.placement.layers, gpus, own.shape[1]), -1, np.int64)
        slots[:, survivors] = torch.stack(every, dim=1).numpy()
        return Placement(slots.reshape(len(slots), -1), self.placement.cluster, self.placement.experts)

    def _known_loads(self) -> Loads:
        """Return what the first survivor last planned for, or has counted since the start."""
        own = torch.stack([layer.picked for layer in self._layers]).double().cpu()
        known = own if self._loads is None else torch.tensor(self._loads.counts[0])
        dist.broadcast(known, src=0)
        return Loads(known.numpy())

    def _begin(self, after: Placement) -> None:
        exchange = ExpertExchange(self.tensors, (self.placement, after), self._groups[1])
        if exchange.done:
            return
        exchange.begin()
        self._exchange = exchange

    def _take_over(self, placement: Placement) -> None:
        self._router.place(placement)
        self.placement = placement
