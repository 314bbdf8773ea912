"""A plan as one table for spreadsheets: a row for each GPU of each layer."""

from __future__ import annotations

import csv
from io import StringIO
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.migration.migration import moves_to_gpus
from equipoise.planning.layer_figures import layer_figures
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from equipoise.placement import Placement
    from equipoise.planning.plan import Plan
    from equipoise.timing.time_saved import TimeSaved


def plan_table(plan: Plan, times: Sequence[TimeSaved], decoder_layers: Sequence[int] | None) -> str:
    """Return the table as CSV.

    The columns before ``GPU`` are of the layer, the same in the rows of all its GPUs; those after it are of the GPU.

    times: what a layer takes before and after, for batches of some sizes. decoder_layers: the model's own number of
    each layer; where it is not known, its cells are empty.
    """
    layers, cluster = plan.placement.layers, plan.placement.cluster
    of_layer: dict[str, Sequence[Any]] = {
        "layer": range(layers),
        "decoder layer": decoder_layers or [""] * layers,
        **{name: values.tolist() for name, values in layer_figures(plan, times).items()},
    }
    of_gpu = {
        "load before": _gpu_load(plan.before, plan).tolist(),
        "load after": _gpu_load(plan.placement, plan).tolist(),
        "moves to it": moves_to_gpus(plan.before, plan.placement).tolist(),
        "experts": _experts(plan.placement),
    }
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*of_layer, "GPU", "node", *of_gpu])
    for layer, gpu in product(range(layers), range(cluster.gpus)):
        figures = (values[layer] for values in of_layer.values())
        node = gpu // cluster.gpus_per_node
        writer.writerow([*figures, gpu, node, *(values[layer][gpu] for values in of_gpu.values())])
    return text.getvalue()


def _gpu_load(placement: Placement, plan: Plan) -> NDArray[np.float64]:
    """Return the load of the plan's GPUs, of the mean of what was planned for, ``[layers, gpus]``; 0 for a new one."""
    load = balance(placement, plan.loads, routing=plan.routing).gpu_load[0]
    gpus = plan.placement.cluster.gpus
    return np.pad(load, ((0, 0), (0, max(0, gpus - load.shape[1]))))[:, :gpus]


def _experts(placement: Placement) -> list[list[str]]:
    """Return the experts in the slots of each GPU, in order, with spaces between; nothing where it is dead."""
    by_gpu = placement.by_gpu.tolist()
    return [[" ".join(str(expert) for expert in slots if expert >= 0) for slots in gpus] for gpus in by_gpu]
