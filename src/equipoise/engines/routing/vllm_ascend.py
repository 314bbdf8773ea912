"""vLLM-Ascend's second model runner: the table that its kernel looks picks up in, by the number of the token.

The table belongs to a placement, not to a batch, so nothing can be filled. But the first rows are all that a small
batch looks at: there every expert is served by its primary, and its spares stay cold.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import Tensor

from equipoise.engines.live import same_parameters

ROWS = 1024  # of the table; token n looks at row n % 1024
TOP_K = 8  # picks of a token: the table is not told, and this is what most models have

log = logging.getLogger("vllm.equipoise")


@cache
def install(floor: int) -> bool:
    """Write the table from now on; return whether this vLLM-Ascend is one that we know, and else leave it as it is."""
    try:
        from vllm_ascend.ops.fused_moe import eplb

        theirs = eplb.build_expert_replica_routing_table
    except (ImportError, AttributeError):
        theirs = None

    def build_expert_replica_routing_table(
        logical_to_physical_map: Tensor, logical_replica_count: Tensor, ep_rank: int
    ) -> Tensor:
        from vllm.distributed import get_ep_group

        tokens = floor * len(logical_replica_count) // (TOP_K * get_ep_group().world_size)
        return table(logical_to_physical_map, logical_replica_count, ep_rank, tokens)

    if theirs is None or not same_parameters(build_expert_replica_routing_table, theirs):
        log.warning("Equipoise does not know the routing of this vLLM-Ascend, which goes by its own rule")
        return False
    eplb.build_expert_replica_routing_table = build_expert_replica_routing_table
    return True


def table(logical_to_physical_map: Tensor, logical_replica_count: Tensor, ep_rank: int, tokens: int) -> Tensor:
    """Return the slot of each expert for each token, int32 ``[1024, experts]``.

    The first tokens go to the primaries; then the spares catch up, and from there on all take turns, each GPU beginning
    elsewhere. In all 1,024 rows every replica has the same share, to within one row.

    Parameters
    ----------
    logical_to_physical_map : Tensor ``[experts, columns]``
        Slots of each expert, its primary first; padded.
    logical_replica_count : Tensor ``[experts]``
        How many of them there are.
    ep_rank : int
        The GPU that routes.
    tokens : int
        Of a batch in which an expert is picked as often as does not pay to split.
    """
    device = logical_to_physical_map.device
    row, expert = torch.arange(ROWS, device=device)[:, None], torch.arange(len(logical_replica_count), device=device)
    replicas = logical_replica_count.long().clamp(min=1)
    alone = (ROWS // replicas).clamp(max=tokens)
    spare = 1 + (row - alone) % (replicas - 1).clamp(min=1)
    in_turn = (row + ep_rank + expert) % replicas
    which = torch.where(row < alone, 0, torch.where(row < alone * replicas, spare, in_turn))
    return logical_to_physical_map.T.gather(0, which).to(torch.int32).contiguous()
