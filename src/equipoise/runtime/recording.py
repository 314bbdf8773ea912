"""A recording: it watches a model's calls and the picks of its layers, and counts them on the model's devices."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from equipoise.errors import InputError, check_count, setting
from equipoise.loads import Loads
from equipoise.runtime.counting import count, empty_counts, places_of
from equipoise.runtime.mixtures import mixtures_of
from equipoise.runtime.tokens import real_tokens

FIRST_WINDOWS = 8
"""Windows that there is room for in the beginning; whenever they are used up, there are twice as many."""


class Recording:
    """What :func:`equipoise.record` returns: the loads of a model, while it runs and afterwards.

    Attributes
    ----------
    decoder_layers : tuple of int
        The model's own number of each layer of the loads.
    experts : int
        Logical experts of each layer.
    """

    def __init__(self, model: torch.nn.Module, window_tokens: int | None) -> None:
        self._window_tokens = None if window_tokens is None else check_count(setting("window_tokens"), window_tokens)
        self._model = model
        self._mixtures = mixtures_of(model)
        self.decoder_layers = tuple(mixture.decoder_layer for mixture in self._mixtures)
        self.experts = self._mixtures[0].experts
        self._handles: list[Any] = []
        self._tokens: torch.Tensor | int = 0  # on the device, which is not waited for
        self._most_tokens = 0  # with the padding, which the host knows
        self._top_k = 0  # until the first picks are seen
        self._places: torch.Tensor | None = None  # while the model is called
        room = 1 if window_tokens is None else FIRST_WINDOWS
        self._counts = [empty_counts(room, self.experts, mixture.device) for mixture in self._mixtures]

    def __enter__(self) -> Recording:
        """Begin to record, or go on."""
        if self._handles:
            raise InputError("this recording is running already; expected one block at a time")
        if getattr(self._model, "is_gradient_checkpointing", False) and self._model.training:
            raise InputError(
                "gradient checkpointing runs the experts twice, so that tokens would be counted twice; turn it off, or "
                "call the model's eval() first"
            )
        self._handles = [
            self._model.register_forward_pre_hook(self._begin, with_kwargs=True),
            self._model.register_forward_hook(self._end, always_call=True),
            *(mixture.watch(partial(self._see, layer)) for layer, mixture in enumerate(self._mixtures)),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the model as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @property
    def tokens(self) -> int:
        """Tokens that were recorded, without padding."""
        return int(self._tokens)

    def loads(self) -> Loads:
        """Return what has been recorded so far.

        Returns
        -------
        Loads
            Token selections ``[windows, layers, experts]``, of the layers that have experts.

        Raises
        ------
        InputError
            If nothing was recorded, or not all of it.
        """
        if not self.tokens:
            raise InputError("nothing was recorded; call the model in the block of the recording")
        windows = 1 if self._window_tokens is None else -(-self.tokens // self._window_tokens)
        counts = [layer.cpu().numpy() for layer in self._counts]
        if not self._top_k or any(layer.sum() != self._most_tokens * self._top_k for layer in counts):
            raise InputError(
                "not all calls of the model were seen at its experts: one failed, or was compiled before the recording "
                "began; call torch.compiler.reset() before it does"
            )
        recorded = np.stack([layer[1 : 1 + windows, 1:-1] for layer in counts], axis=1)
        return Loads(recorded, decoder_layers=self.decoder_layers)

    def _begin(self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See the tokens that the model is called with."""
        real = real_tokens(args, kwargs)
        self._most_tokens += len(real)
        number = real.cumsum(0) + self._tokens
        if self._window_tokens is None:
            windows = torch.zeros_like(number)
        else:
            windows = (number - 1) // self._window_tokens
            self._make_room(-(-self._most_tokens // self._window_tokens))
        self._tokens = number[-1] if len(number) else self._tokens
        self._places = places_of(windows, real, self.experts)

    def _end(self, *_: object) -> None:
        self._places = None

    def _see(self, layer: int, picks: torch.Tensor) -> None:
        """Count the picks of a layer."""
        if self._places is None:
            raise InputError("the experts were called without the model that is recorded; record what is called")
        self._top_k = picks.shape[1]
        count(picks, self._places, self._counts[layer])

    def _make_room(self, windows: int) -> None:
        """Have counts for so many windows at least."""
        room = len(self._counts[0]) - 1
        if windows > room:
            more = max(windows - room, room)
            with torch.inference_mode(False):  # or nothing could be counted outside of it
                self._counts = [pad(counts, (0, 0, 0, more)) for counts in self._counts]
