"""The experts that vLLM and SGLang return with what they generate, as JSON: one response, or one on each line.

Wherever a response has the key ``routed_experts``, it is what each token picked ``[tokens, layers, top_k]``, in base64:
vLLM's of an ``.npy`` file, in ``choices``; SGLang's of the bare int32, in ``meta_info`` or ``sglext``, so that only the
model says how many layers there are and what its top-k is. Layers are all decoder layers; those without experts have
nothing but 0.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError, setting
from equipoise.formats.files.json_text import read_json_documents
from equipoise.formats.files.numpy_files import array_of_bytes
from equipoise.formats.files.refusals import shown
from equipoise.formats.files.size_guard import check_numbers
from equipoise.loads import Loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from equipoise.formats.sniffing import Glimpse
    from equipoise.timing.known_models import Model

KEY = "routed_experts"
RESPONSES = tuple(f'"{key}"'.encode() for key in (KEY, "choices", "meta_info", "text"))
"""Keys of responses, one of which comes near the beginning."""
WINDOW_TOKENS = 4096
NUMPY = b"\x93NUMPY"
IDS = np.dtype("<i4")


def is_routed_experts(glimpse: Glimpse) -> bool:
    """Return whether it begins as a response does, or several."""
    return glimpse.opens_with("{", "[") and any(key in glimpse.head for key in RESPONSES)


def read_routed_experts(path: Path, model: Model | None = None) -> Loads:
    """Read the responses as windows of 4,096 tokens or more.

    Responses are added up, in their order and whole, until a window has so many tokens; the last may have fewer. A
    pick below 0 is none. Without the model, there are as many experts as the highest that was picked, and one.

    Parameters
    ----------
    path : Path
        The file.
    model : Model, optional
        Which model responded; has to be known for SGLang.

    Raises
    ------
    InputError
        If the file is not JSON, no response has picks, one cannot be decoded, the model is needed and missing, or it
        has other layers or experts than what was returned.
    """
    responses = [_decoded(place, text, model, path) for place, text in enumerate(_texts(path))]
    layers = responses[0].shape[1]
    if any(picks.shape[1] != layers for picks in responses):
        raise InputError(f"one response has picks of {layers} layers, others do not; expected all of one model")
    experts = 1 + max(int(picks.max(initial=0)) for picks in responses)
    if model is not None and experts > model.experts:
        raise InputError(f"has picks of expert {experts - 1}; expected experts below {model.experts}, as the model has")
    experts = experts if model is None else model.experts
    windows = _windows(responses)
    check_numbers(len(windows) * layers * experts, path)
    counts = np.stack([sum(_counts(picks, experts) for picks in window) for window in windows])
    idle = ~np.any([picks.any(axis=(0, 2)) for picks in responses], axis=0)
    counts[:, idle] = 0
    return Loads(counts)


def _texts(path: Path) -> Iterator[str]:
    """Yield what each key ``routed_experts`` of the file holds, but for those without picks."""
    found = False
    for document in read_json_documents(path):
        waiting = [document]
        while waiting:
            inner = waiting.pop()
            if isinstance(inner, dict):
                waiting.extend(value for key, value in reversed(inner.items()) if key != KEY)
                text = inner.get(KEY)
                if text is not None and not isinstance(text, str):
                    raise InputError(f"{KEY} is {shown(text)}; expected base64, as vLLM and SGLang return it")
                if text:
                    found = True
                    yield text
            elif isinstance(inner, list):
                waiting.extend(reversed(inner))
    if not found:
        raise InputError(
            f"no response has {KEY}; expected it as servers return it that were started with "
            "--enable-return-routed-experts"
        )


def _decoded(place: int, text: str, model: Model | None, path: Path) -> NDArray[Any]:
    """Return the picks ``[tokens, layers, top_k]`` of a response."""
    name = f"{KEY} {place}"
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{name} is not base64") from None
    picks = array_of_bytes(content, path) if content.startswith(NUMPY) else _bare(name, content, model)
    if picks.ndim != 3 or 0 in picks.shape[1:] or picks.dtype.kind not in "iu":
        raise InputError(f"{name} is {picks.dtype} {list(picks.shape)}; expected whole numbers [tokens, layers, top_k]")
    if model is not None and picks.shape[1] != model.layers:
        raise InputError(f"{name} has {picks.shape[1]} layers; expected {model.layers}, as the model has")
    return picks


def _bare(name: str, content: bytes, model: Model | None) -> NDArray[Any]:
    if model is None:
        raise InputError(
            f"{name} is bare numbers, as SGLang returns them, which say neither layers nor top-k; name the "
            f"{setting('model')}"
        )
    row = IDS.itemsize * model.layers * model.top_k
    if len(content) % row:
        raise InputError(
            f"{name} has {len(content)} bytes; expected int32 [tokens, {model.layers}, {model.top_k}], as the model has"
        )
    return np.frombuffer(content, IDS).reshape(-1, model.layers, model.top_k)


def _windows(responses: list[NDArray[Any]]) -> list[list[NDArray[Any]]]:
    """Return the responses of each window."""
    windows: list[list[NDArray[Any]]] = []
    tokens = WINDOW_TOKENS
    for picks in responses:
        if tokens >= WINDOW_TOKENS:
            windows.append([])
            tokens = 0
        windows[-1].append(picks)
        tokens += len(picks)
    return windows


def _counts(picks: NDArray[Any], experts: int) -> NDArray[np.int64]:
    """Return the token selections ``[layers, experts]`` of a response."""
    layers = picks.shape[1]
    place = picks.astype(np.int64) + experts * np.arange(layers)[:, None]
    return np.bincount(place[picks >= 0], minlength=layers * experts).reshape(layers, experts)
