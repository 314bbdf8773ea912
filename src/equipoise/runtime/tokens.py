"""The tokens of a call of a model: how many it is handed, and which of them are padding."""

from __future__ import annotations

from typing import Any

import torch

from equipoise.errors import InputError

INPUTS = ("input_ids", "inputs_embeds")
"""What models call their tokens, or what these are embedded as: ``[batch, tokens]`` and on."""
MASK = "attention_mask"


def real_tokens(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """Return which tokens of a call are no padding, bool ``[batch * tokens]``.

    A mask ``[batch, tokens]`` has columns for the tokens of earlier calls too, where these are cached; the last ones
    are those of this call.

    Raises
    ------
    InputError
        If the call has no tokens, or a mask of another shape.
    """
    inputs = next((kwargs[name] for name in INPUTS if kwargs.get(name) is not None), args[0] if args else None)
    if not isinstance(inputs, torch.Tensor) or inputs.ndim < 2:
        raise InputError(f"the model was called without {' or '.join(INPUTS)} [batch, tokens]; expected one of them")
    batch, tokens = inputs.shape[:2]
    mask = kwargs.get(MASK)
    if mask is None:
        return torch.ones(batch * tokens, dtype=torch.bool, device=inputs.device)
    if not isinstance(mask, torch.Tensor) or mask.ndim != 2 or mask.shape[0] != batch or mask.shape[1] < tokens:
        shape = list(mask.shape) if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise InputError(f"{MASK} is {shape} for {batch} x {tokens} tokens; expected [batch, tokens], by keyword")
    return mask[:, mask.shape[1] - tokens :].reshape(-1) != 0
