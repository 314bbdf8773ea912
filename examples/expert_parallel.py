"""A small model in several processes: recorded, planned, served, and planned again as its traffic drifts.

    torchrun --nproc-per-node 4 examples/expert_parallel.py

Its weights are random and its traffic is made up: each step's tokens come from a part of the vocabulary, and the part
moves on.
"""

import torch
import torch.distributed as dist
from transformers import MixtralConfig, MixtralForCausalLM

from equipoise import Cluster, balance, plan, record
from equipoise.runtime.expert_parallel import ExpertParallel

VOCABULARY, EXPERTS, REDUNDANT = 200, 16, 4
STEPS, PLAN_EVERY = 24, 6


def small_model() -> MixtralForCausalLM:
    """Return the same model in every process."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MixtralConfig(vocab_size=VOCABULARY, num_local_experts=EXPERTS, num_key_value_heads=2, **sizes)
    return MixtralForCausalLM(config).eval()


def traffic(step: int, rank: int) -> torch.Tensor:
    """Return a batch of one process, ``[sequences, length]``."""
    generator = torch.Generator().manual_seed(1000 * step + rank)
    return (torch.randint(VOCABULARY // 20, (8, 64), generator=generator) + 8 * step) % VOCABULARY


@torch.no_grad()
def main() -> None:
    """Record, plan, serve, drift, plan again, move."""
    dist.init_process_group("gloo")
    rank, gpus = dist.get_rank(), dist.get_world_size()
    model = small_model()
    with record(model) as recording:  # the same batch in every process, so that all plan the same
        model(traffic(0, 0))
    cluster = Cluster.for_experts(EXPERTS, gpus=gpus, redundant=REDUNDANT)
    first = plan(recording.loads(), cluster, routing="filled")
    parallel = ExpertParallel(model, first.placement, move_group=dist.new_group(), floor=0)

    for step in range(STEPS):
        model(traffic(step, rank))
        parallel.step()
        if step % PLAN_EVERY == PLAN_EVERY - 1:
            found = parallel.replan(max_moves=0.2)
            stayed = balance(first.placement, found.loads, routing="filled").par.mean()
            if rank == 0:
                print(
                    f"step {step}: PAR {found.par_before.mean():.3f} -> {found.par.mean():.3f} "
                    f"with {found.moves.sum()} moves; {stayed:.3f} with the first plan"
                )
    while parallel.step():
        pass
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
