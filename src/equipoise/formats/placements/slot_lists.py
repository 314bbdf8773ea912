"""Lists of the expert in each slot, as the files of placements hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.refusals import shown
from equipoise.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.cluster import Cluster


def check_slot_lists(layers: Mapping[int, Any], experts: int, lowest: int = 0) -> None:
    """Refuse what is no list of experts for every layer, all lists of one length.

    Parameters
    ----------
    layers : mapping of int to anything
        The list of each layer, by the layer's number in the file.
    experts : int
        Experts are below this number.
    lowest : int
        They are not below this one: -1 where slots may be empty.

    Raises
    ------
    InputError
        Naming the first layer and slot at fault.
    """
    slots = None
    for layer, row in layers.items():
        if not isinstance(row, list) or len(row) != (slots := len(row) if slots is None else slots):
            raise InputError(f"layer {layer} is {shown(row)}; expected as many slots as every layer has")
        for slot, expert in enumerate(row):
            if type(expert) is not int or not lowest <= expert < experts:
                raise InputError(f"layer {layer}, slot {slot} holds {shown(expert)}; expected 0 to {experts - 1}")


def placement_of(layers: Mapping[int, list[int]], cluster: Cluster, experts: int | None = None) -> Placement:
    """Return the placement that an engine's lists of slots stand for.

    Where the file does not say how many experts there are, they are those up to the highest that it names.

    An expert may be twice on a GPU, as most engines' planners put it.

    Raises
    ------
    InputError
        If there is no layer, or an expert has no slot in a layer.
    """
    if not layers:
        raise InputError("has no layers; expected one at least")
    check_slot_lists(layers, experts=experts or cluster.slots)
    rows = np.array(list(layers.values()), dtype=np.int64)
    placement = Placement(rows, cluster, experts or int(rows.max()) + 1)
    if not placement.logcnt.all():
        place, expert = (int(i) for i in np.argwhere(placement.logcnt == 0)[0])
        raise InputError(f"layer {list(layers)[place]} has no slot for expert {expert}; expected one at least for each")
    return placement
