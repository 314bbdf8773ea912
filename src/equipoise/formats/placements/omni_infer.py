"""omni-infer's placement pattern, ``pattern_path``: an ``.npy`` array of 0 and 1, ``[GPUs, layers, experts]``.

A 1 says that the GPU holds the expert. In which of its slots, the file does not say: omni-infer fills them in the order
of the experts.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.numpy_files import mapped_array, read_array
from equipoise.formats.placements.requirements import demand_every_expert, demand_every_slot, demand_no_duplicates
from equipoise.formats.placements.slot_lists import placement_of

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from equipoise.formats.deployment import Deployment
    from equipoise.formats.sniffing import Glimpse
    from equipoise.placement import Placement


def is_omni_infer_pattern(glimpse: Glimpse) -> bool:
    """Return whether it is such an array: some GPU does not hold some expert, all hold some, and none is missing.

    Loads of single tokens can look the same; they are read as loads where their format is said. GPUs may hold unequally
    many, which is refused as a placement.
    """
    if not glimpse.head.startswith(b"\x93NUMPY"):
        return False
    try:
        pattern = mapped_array(glimpse.path)
    except (InputError, OSError):
        return False
    if pattern.ndim != 3 or pattern.dtype.kind not in "iub" or pattern.size == 0:
        return False
    zeros_and_ones = pattern.min() == 0 and pattern.max() == 1
    return bool(zeros_and_ones and pattern.any(axis=2).all() and pattern.any(axis=0).all())


def read_omni_infer_pattern(path: Path, deployment: Deployment) -> Placement:
    """Read a placement; its GPUs are in ``deployment.nodes`` nodes, and their slots in the order of the experts.

    Raises
    ------
    InputError
        If the file is damaged, is no such array, GPUs hold unequal numbers of experts, or an expert is missing.
    """
    pattern = read_array(path)
    _check(pattern)
    gpus, layers, experts = pattern.shape
    slots_per_gpu = int(pattern[0, 0].sum())
    slots = np.nonzero(pattern.swapaxes(0, 1))[2].reshape(layers, -1)
    return placement_of(dict(enumerate(slots.tolist())), deployment.cluster_of(gpus, slots_per_gpu), experts)


def encode_omni_infer_pattern(placement: Placement, _: Deployment) -> bytes:
    """Return the file's bytes.

    Raises
    ------
    InputError
        If an expert or a slot is empty, or an expert is twice on a GPU.
    """
    demand_every_slot(placement, "omni-infer")
    demand_every_expert(placement, "omni-infer")
    demand_no_duplicates(placement, "omni-infer")
    content = BytesIO()
    np.save(content, np.ascontiguousarray(placement.held.swapaxes(0, 1), np.int32))
    return content.getvalue()


def _check(pattern: NDArray[Any]) -> None:
    """Refuse what is no pattern with as many experts on every GPU."""
    if pattern.ndim != 3 or pattern.dtype.kind not in "iub" or pattern.size == 0:
        raise InputError(
            f"is {pattern.dtype} {list(pattern.shape)}; expected whole numbers 0 and 1, [GPUs, layers, experts]"
        )
    bad = np.argwhere((pattern != 0) & (pattern != 1))
    if len(bad):
        gpu, layer, expert = (int(i) for i in bad[0])
        raise InputError(f"GPU {gpu}, layer {layer}, expert {expert} is {pattern[gpu, layer, expert]}; expected 0 or 1")
    held = pattern.sum(axis=2)
    unequal = np.argwhere(held != held[0, 0])
    if len(unequal):
        gpu, layer = (int(i) for i in unequal[0])
        raise InputError(
            f"GPU {gpu} holds {held[gpu, layer]} experts of layer {layer}, and GPU 0 {held[0, 0]} of layer 0; expected "
            "as many on every GPU in every layer: plan for the layers with more of them by themselves"
        )
