"""The engines' own functions take the same maps and end with the same bytes; what is sent is compared.

SGLang's runs in processes, on Gloo. vLLM's runs rank by rank, with a communicator that delivers when all have asked.
"""

from __future__ import annotations

import sys
from inspect import signature

import numpy as np
import pytest

from equipoise import Cluster, Migration
from equipoise.runtime.rounds import first_arrivals
from equipoise.runtime.sglang import update_expert_weights_single_layer
from tests.runtime.processes import run
from tests.runtime.test_exchange import GPUS, expert_bytes, random_placement, tensors_of

torch = pytest.importorskip("torch")

SEEDS = range(40)


def pair_of(seed):
    """Return two placements of one layer, of the same cluster."""
    rng = np.random.default_rng(seed)
    cluster = Cluster(GPUS, int(rng.choice([1, 2, 4])), int(rng.integers(3, 6)))
    return random_placement(rng, cluster, 1), random_placement(rng, cluster, 1)


def by_sglang(rank, seeds, engines):
    """Return the bytes that SGLang's function ends with, what it sends to each rank, and what ours ends with."""
    sys.path.append(engines)
    import torch.distributed as dist
    from sglang.srt.eplb.expert_location_updater import update_expert_weights_single_layer as theirs

    sent, send = np.zeros((len(seeds), GPUS), np.int64), dist.batch_isend_irecv
    found = []
    for number, seed in enumerate(seeds):
        before, after = pair_of(seed)
        slots = before.cluster.slots_per_gpu
        ended = []
        for ours in (False, True):
            [tensors] = tensors_of(before, rank, slots)
            buffers = [torch.empty_like(tensor) for tensor in tensors]

            def counting(operations, number=number):
                for one in operations:
                    if one.op is dist.isend:
                        sent[number, one.peer] += one.tensor.numel() * one.tensor.element_size()
                return send(operations)

            dist.batch_isend_irecv = send if ours else counting
            update = update_expert_weights_single_layer if ours else theirs
            maps = before.phy2log[0].tolist(), after.phy2log[0].tolist()
            update(tensors, buffers, *maps, slots, before.cluster.gpus_per_node, rank, GPUS)
            ended.append(b"".join(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() for tensor in tensors))
        found.append(ended)
    return found, sent


def test_sglangs_updater_ends_with_the_same_bytes_and_sends_as_many(engines):
    ranks = run(GPUS, by_sglang, SEEDS, str(engines), seconds=120)
    for number, seed in enumerate(SEEDS):
        assert all(theirs == ours for theirs, ours in (found[number] for found, _ in ranks))
        before, after = pair_of(seed)
        sent = np.array([sent[number] for _, sent in ranks])
        node = np.arange(GPUS) // before.cluster.gpus_per_node
        ours = received_once(Migration(before, after))
        assert ours.sum() * expert_bytes() == sent.sum()
        assert ours[node[:, None] != node].sum() * expert_bytes() <= sent[node[:, None] != node].sum()


def test_the_adapter_has_sglangs_signature(engines):
    sys.path.append(str(engines))
    updater = pytest.importorskip("sglang.srt.eplb.expert_location_updater")
    assert list(signature(update_expert_weights_single_layer).parameters) == list(
        signature(updater.update_expert_weights_single_layer).parameters
    )


def received_once(migration):
    """Return how many experts each GPU sends to each, ``[gpus, gpus]``: one for an expert and GPU."""
    sent = np.flatnonzero(
        (migration.source != migration.gpu) & (first_arrivals(migration) == np.arange(len(migration.gpu)))
    )
    found = np.zeros((GPUS, GPUS), np.int64)
    np.add.at(found, (migration.source[sent], migration.gpu[sent]), 1)
    return found


class Post:
    """A communicator of one rank: what is sent and asked for is noted, and delivered by all together."""

    def __init__(self, rank):
        self.rank, self.sent, self.asked = rank, {}, {}

    def set_transfer_context(self, old_indices, layer_idx):
        """Nothing of a layer needs to be known."""

    def add_send(self, tensors, dst_rank, expert_id):
        self.sent[expert_id, dst_rank] = [tensor.clone() for tensor in tensors]

    def add_recv(self, tensors, src_rank, expert_id):
        self.asked[expert_id, src_rank] = tensors

    def execute(self):
        """Others have not asked yet."""


def delivered(posts):
    """Let all that was asked for arrive, and return how many experts each rank sent to each."""
    sent = np.zeros((GPUS, GPUS), np.int64)
    for post in posts:
        for (expert, source), tensors in post.asked.items():
            for into, tensor in zip(tensors, posts[source].sent[expert, post.rank], strict=True):
                into.copy_(tensor)
            sent[source, post.rank] += 1
    return sent


@pytest.fixture(scope="module")
def execution(engines):
    """Return vLLM's module that moves weights."""
    if str(engines) not in sys.path:
        sys.path.append(str(engines))
    return pytest.importorskip("vllm.distributed.eplb.rebalance_execute")


def by_vllm(execution, before, after):
    """Return the tensors of all ranks after vLLM has moved them, and what it sent."""
    slots, maps = before.cluster.slots_per_gpu, (before.phy2log[0], after.phy2log[0])
    tensors = [tensors_of(before, rank, slots)[0] for rank in range(GPUS)]
    buffers = [[torch.empty_like(tensor) for tensor in some] for some in tensors]
    posts = [Post(rank) for rank in range(GPUS)]
    moved = [
        execution.move_to_buffer(slots, *maps, tensors[rank], buffers[rank], None, rank, posts[rank])
        for rank in range(GPUS)
    ]
    sent = delivered(posts)
    for rank in range(GPUS):
        execution.move_from_buffer(tensors[rank], buffers[rank], moved[rank], maps[1], rank)
    return tensors, sent


def by_us(rank, seeds):
    from equipoise.runtime.exchange import exchange_experts

    found = []
    for seed in seeds:
        before, after = pair_of(seed)
        tensors = tensors_of(before, rank, before.cluster.slots_per_gpu)
        exchange_experts(tensors, (before, after))
        found.append(as_bytes(tensors[0]))
    return found


def as_bytes(tensors):
    return b"".join(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() for tensor in tensors)


def test_vllms_functions_end_with_the_same_bytes_and_send_as_many(execution):
    ranks = run(GPUS, by_us, SEEDS)
    for number, seed in enumerate(SEEDS):
        before, after = pair_of(seed)
        tensors, sent = by_vllm(execution, before, after)
        assert [as_bytes(some) for some in tensors] == [found[number] for found in ranks]
        ours, node = received_once(Migration(before, after)), np.arange(GPUS) // before.cluster.gpus_per_node
        assert ours.sum() == sent.sum()
        assert ours[node[:, None] != node].sum() <= sent[node[:, None] != node].sum()
