"""A drop-in for PaddlePaddle FastDeploy's ``rebalance_experts`` (``fastdeploy.eplb.eplb``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.engines import deepseek

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rebalance_experts(
    weight: NDArray[Any], num_replicas: int, num_groups: int, num_nodes: int, num_gpus: int, eplb_strategy: str = ""
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Plan a placement: FastDeploy's arguments and results, which are DeepSeek EPLB's with a strategy more.

    The strategy, which picks one of FastDeploy's own algorithms, is passed over. Parameters, results and errors are
    those of :func:`equipoise.engines.deepseek.rebalance_experts`.

    Examples
    --------
    >>> import numpy as np
    >>> rebalance_experts(np.array([[60, 20, 20, 20]]), 6, 4, 1, 2, "balance_intra_node")[2].tolist()
    [[2, 2, 1, 1]]
    """
    return deepseek.rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus)
