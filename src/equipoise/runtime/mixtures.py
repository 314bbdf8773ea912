"""Where a model picks its experts: the modules to watch, layer by layer, and what each shows of the picks.

The models of transformers 5 hand the picks of a layer to a module whose class name ends in ``Experts``.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PICKS = ("top_k_index", "router_indices", "selected_experts")
"""What ``forward`` of experts calls the picks, integers ``[tokens, top_k]``."""
NUMBER_OF_EXPERTS = ("num_experts", "num_routed_experts")
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks?)\.(\d+)\.")
"""How a module's dotted name says which decoder layer it is in."""
AT_THE_ROUTER = {"Llama4TextExperts": "Llama4Router"}
"""Experts that are handed tokens alone, and the router beside them, which returns the logits last."""
SHARED = frozenset({"InklingSharedExperts"})
"""Experts that every token goes to, so that there is nothing to record."""
REFUSED = {
    "JetMoeParallelExperts": "its attention picks experts as well as its feed-forward layers do",
    "NllbMoeExperts": "its encoder and its decoder have layers of the same numbers",
    "SwitchTransformersExperts": "its encoder and its decoder have layers of the same numbers",
}
"""Experts of which no loads ``[layers, experts]`` can be recorded, and why."""


@dataclass(frozen=True)
class Mixture:
    """The experts of one layer.

    Attributes
    ----------
    decoder_layer : int
        The model's own number of the layer.
    experts : int
        Logical experts.
    device : torch.device
        Where their weights are.
    watched : torch.nn.Module
        What shows the picks when it is called.
    argument : str or None
        The parameter of ``watched.forward`` that they are; None if they follow from what it returns.
    """

    decoder_layer: int
    experts: int
    device: torch.device
    watched: torch.nn.Module
    argument: str | None

    def watch(self, seen: Callable[[torch.Tensor], None]) -> Any:
        """Have a function called with the picks ``[tokens, top_k]`` of every call; return torch's handle."""
        if self.argument is None:
            return self.watched.register_forward_hook(_after(seen))
        return self.watched.register_forward_pre_hook(_before(self.watched, self.argument, seen), with_kwargs=True)


def mixtures_of(model: torch.nn.Module) -> list[Mixture]:
    """Return the experts of all layers that have any, in the order of the decoder layers.

    Raises
    ------
    InputError
        If there are none, they cannot be recorded, a layer has several, or their numbers differ.
    """
    modules = dict(model.named_modules())
    named = {
        name: module
        for name, module in modules.items()
        if _kind(module).endswith("Experts") and _kind(module) not in SHARED
    }
    if not named:
        raise InputError(
            f"{_kind(model)} has no module whose class name ends in Experts; expected a Mixture-of-Experts model of "
            "transformers 5"
        )
    found: dict[int, Mixture] = {}
    for name, module in named.items():
        mixture = _mixture(name, module, modules)
        if mixture.decoder_layer in found:
            raise InputError(f"{name} is in decoder layer {mixture.decoder_layer} with other experts; expected one set")
        found[mixture.decoder_layer] = mixture
    sizes = sorted({mixture.experts for mixture in found.values()})
    if len(sizes) > 1:
        raise InputError(f"layers have {', '.join(map(str, sizes))} experts; expected as many in each")
    return [found[number] for number in sorted(found)]


def _mixture(name: str, module: torch.nn.Module, modules: Mapping[str, torch.nn.Module]) -> Mixture:
    kind = _kind(module)
    if kind in REFUSED:
        raise InputError(f"{kind} cannot be recorded: {REFUSED[kind]}")
    if getattr(module, "_is_expert_parallel", False):
        raise InputError(f"{name} has a part of the experts only, under expert parallelism; load the model without it")
    number = LAYER.search(name)
    if number is None:
        raise InputError(f"{name} has no number of a decoder layer in its name; expected one such as layers.3")
    experts = next((size for key in NUMBER_OF_EXPERTS if type(size := getattr(module, key, None)) is int), None)
    if experts is None:
        raise InputError(f"{name} does not say how many experts it has; expected num_experts")
    watched, argument = _watched(name, module, modules)
    device = next((weights.device for weights in module.parameters()), None)
    if device is None or device.type == "meta":  # weights that come to the device when they are needed
        device = torch.device("cpu")
    return Mixture(int(number[1]), experts, device, watched, argument)


def _watched(
    name: str, module: torch.nn.Module, modules: Mapping[str, torch.nn.Module]
) -> tuple[torch.nn.Module, str | None]:
    """Return the module that shows the picks, and the parameter that they are."""
    kind = _kind(module)
    if kind in AT_THE_ROUTER:
        block = modules[name.rpartition(".")[0]]
        return next(child for child in block.children() if _kind(child) == AT_THE_ROUTER[kind]), None
    taken = inspect.signature(module.forward).parameters
    argument = next((one for one in PICKS if one in taken), None)
    if argument is None:
        raise InputError(f"{kind}.forward takes {', '.join(taken)}; expected picks, as one of {', '.join(PICKS)}")
    return module, argument


def _kind(module: torch.nn.Module) -> str:
    return type(module).__name__


def _before(module: torch.nn.Module, argument: str, seen: Callable[[torch.Tensor], None]) -> Callable[..., None]:
    """Return a hook that shows what a module is handed as this argument."""
    place = list(inspect.signature(module.forward).parameters).index(argument)

    def hook(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen(kwargs[argument] if argument in kwargs else args[place])

    return hook


def _after(seen: Callable[[torch.Tensor], None]) -> Callable[..., None]:
    """Return a hook that shows the picks that a router's logits ``[tokens, experts]`` lead to."""

    def hook(router: Any, args: tuple[Any, ...], returned: tuple[torch.Tensor, ...]) -> None:
        seen(returned[-1].topk(router.top_k, dim=1).indices)

    return hook
