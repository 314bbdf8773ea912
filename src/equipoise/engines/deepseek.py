"""A drop-in for DeepSeek EPLB's ``rebalance_experts``."""


def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus):
    """TEMPORARY STAND-IN."""
    raise NotImplementedError
