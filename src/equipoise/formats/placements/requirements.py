"""What engines demand of a placement, so that none is written that they would refuse or serve wrongly."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError

if TYPE_CHECKING:
    from equipoise.placement import Placement


def demand_every_slot(placement: Placement, engine: str) -> None:
    """Refuse dead GPUs and empty slots: every GPU must hold as many experts as every other.

    Raises
    ------
    InputError
        Naming the first empty slot.
    """
    empty = np.argwhere(placement.phy2log < 0)
    if len(empty):
        layer, slot = (int(i) for i in empty[0])
        gpu = slot // placement.cluster.slots_per_gpu
        raise InputError(
            f"layer {layer}, GPU {gpu}, slot {slot} is empty; {engine} takes as many experts on every GPU: plan for "
            "the live GPUs alone"
        )


def demand_every_expert(placement: Placement, engine: str) -> None:
    """Refuse a layer in which an expert has no replica.

    Raises
    ------
    InputError
        Naming the first layer and expert.
    """
    missing = np.argwhere(placement.logcnt == 0)
    if len(missing):
        layer, expert = (int(i) for i in missing[0])
        raise InputError(f"layer {layer} holds no replica of expert {expert}; {engine} needs one at least of each")


def demand_no_duplicates(placement: Placement, engine: str) -> None:
    """Refuse an expert that is twice on one GPU.

    Raises
    ------
    InputError
        Naming the first layer, GPU and expert.
    """
    for layer in np.flatnonzero(placement.duplicates):
        for gpu, held in enumerate(placement.phy2log[layer].reshape(placement.cluster.gpus, -1).tolist()):
            expert, times = Counter(held).most_common(1)[0]
            if times > 1:
                raise InputError(
                    f"layer {layer}, GPU {gpu} holds expert {expert} {times} times; {engine} takes it once"
                )
