"""Recording the loads of any model that runs in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from equipoise.runtime.recording import Recording


def record(model: torch.nn.Module, window_tokens: int | None = None) -> Recording:
    """Record which experts a model picks, while a ``with`` block runs it.

    It counts on the model's own devices and waits for none of them. What the model returns stays the same, bit for
    bit, and padding is left out. Models that are compiled are recorded too, if the block begins before they first run.

    Parameters
    ----------
    model : torch.nn.Module
        A Mixture-of-Experts model of transformers 5, or any whose experts are modules with a class name that ends in
        ``Experts``, called with ``top_k_index``, ``router_indices`` or ``selected_experts``, ``[tokens, top_k]``. The
        module that is called: it is its ``attention_mask`` that tells what is padding.
    window_tokens : int, optional
        Tokens of a window, the last of which may have fewer; otherwise all are one window.

    Returns
    -------
    Recording
        To be entered by ``with``; then its ``loads()`` are what was recorded.

    Raises
    ------
    InputError
        If the model has no experts, or they cannot be recorded.

    Examples
    --------
    >>> import torch
    >>> from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM
    >>> sizes = dict(vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
    >>> model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, num_experts=8, num_experts_per_tok=2, head_dim=16))
    >>> with record(model, window_tokens=16) as recording:
    ...     returned = model(torch.arange(40).reshape(2, 20))
    >>> loads = recording.loads()
    >>> loads.windows, loads.layers, loads.experts
    (3, 2, 8)
    >>> loads.counts.sum(axis=2).tolist()  # two picks of each token
    [[32.0, 32.0], [32.0, 32.0], [16.0, 16.0]]
    """
    from equipoise.runtime.recording import Recording

    return Recording(model, window_tokens)
