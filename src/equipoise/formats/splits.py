"""Files of a split, for engines that can weight replicas.

- ``.npz``: ``physical_to_logical_map`` int64 and ``shares`` float64, both ``[layers, slots]``.
- ``.pt``: what ``SGLANG_EXPERIMENTAL_LPLB_STATIC_PROBS`` names in HYGON's SGLang: a dictionary with
  ``physical_to_logical_map``, int64, and ``physical_mass``, float32, the share of its layer's load that each slot
  serves; both ``[layers, slots]``. The engine takes it only beside the very map that it was started with
  (``--init-expert-location``), which has all decoder layers, so the placement must be planned from loads that have
  them, as SGLang's own recorder writes them.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.atomic import check_writable, write_whole
from equipoise.formats.files.refusals import naming

if TYPE_CHECKING:
    from collections.abc import Callable

    from equipoise.serving.best_split import Split


def check_split_path(path: str | Path) -> None:
    """Refuse a path that :func:`write_split` could not write to.

    Raises
    ------
    InputError
        If the suffix is none of the two, or the file could not be written.
    """
    with naming(Path(path)):
        _writer(Path(path))
    check_writable(path)


def write_split(split: Split, path: str | Path) -> None:
    """Write the split, whole or not at all; the suffix says in which format.

    Raises
    ------
    InputError
        If the suffix is none of the two, torch is needed but not installed, the engine would refuse the split, or the
        file cannot be written.
    """
    with naming(Path(path)):
        content = _writer(Path(path))(split)
    write_whole(path, content)


def _writer(path: Path) -> Callable[[Split], bytes]:
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise InputError(f"a split is not written to {suffix or 'suffixless'} files; use .npz or .pt")
    return WRITERS[suffix]


def _npz(split: Split) -> bytes:
    content = BytesIO()
    np.savez(content, physical_to_logical_map=split.placement.phy2log, shares=split.shares)
    return content.getvalue()


def _pt(split: Split) -> bytes:
    try:
        import torch
    except ImportError:
        raise InputError(
            "writing a .pt file needs torch, which is not installed; pip install 'equipoise[torch]'"
        ) from None
    if split.placement.phy2log.min() < 0:
        layer, slot = (int(i) for i in np.argwhere(split.placement.phy2log < 0)[0])
        raise InputError(f"layer {layer}, slot {slot} is empty; SGLang expects an expert in every slot")
    total = split.load.sum(axis=1, keepdims=True)
    mass = np.divide(split.load, total, out=np.zeros_like(split.load), where=total > 0)
    content = BytesIO()
    tensors = {
        "physical_to_logical_map": torch.tensor(split.placement.phy2log),
        "physical_mass": torch.from_numpy(mass).float(),
    }
    torch.save(tensors, content)
    return content.getvalue()


WRITERS: dict[str, Callable[[Split], bytes]] = {".npz": _npz, ".pt": _pt}
