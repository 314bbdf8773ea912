"""The dump of SGLang's expert distribution recorder in ``stat`` mode, a ``.pt`` file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.refusals import listed
from equipoise.loads import Loads

if TYPE_CHECKING:
    from pathlib import Path


def read_sglang_dump(path: Path) -> Loads:
    """Read ``logical_count`` ``[steps, layers, experts]``; the recorded steps become the windows.

    The recorder writes its whole ring buffer: steps of nothing but zeros were never recorded and are dropped;
    once the buffer has wrapped, the others are not in the order of time. Dense layers stay, all zero.

    Raises
    ------
    InputError
        If torch is not installed, or the file is damaged, holds Python objects or another recorder mode.
    """
    count = _logical_count(_load(path))
    loads = Loads(count)
    recorded = loads.counts.any(axis=(1, 2))
    return Loads(loads.counts[recorded]) if recorded.any() else loads


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading a .pt file needs torch, which is not installed; pip install 'equipoise[torch]'"
        ) from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file can fail anywhere in the unpickling
        reason = str(error).partition("\n")[0]
        raise InputError(f"not a torch file that can be read without running code from it: {reason}") from None


def _logical_count(dump: Any) -> Any:
    """Return the dump's ``logical_count`` as an array."""
    import torch

    if not isinstance(dump, dict) or not isinstance(dump.get("logical_count"), torch.Tensor):
        found = f"the keys {listed(dump)}" if isinstance(dump, dict) else type(dump).__name__
        raise InputError(
            f"holds {found}; expected a tensor logical_count, as SGLang's recorder writes in mode stat "
            "(--expert-distribution-recorder-mode stat)"
        )
    count = dump["logical_count"]
    try:
        return np.asarray(count.double() if count.is_floating_point() else count)
    except Exception as error:  # sparse, quantized and meta tensors have no array
        raise InputError(f"logical_count cannot become an array: {error}") from None
