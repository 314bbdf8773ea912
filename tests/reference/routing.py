"""Rules of engines whose own code cannot run here, selection by selection, as their documentation and source say.

TensorRT-LLM's is a CUDA kernel, vLLM-Ascend's needs its own devices.
"""

from __future__ import annotations

from collections import Counter

BLOCK = 1024  # selections that TensorRT-LLM's kernel deals with at once


def tensorrt_llm(slots_of, gpu, selections):
    """Return the slot of each selection of a GPU's batch: within a block, the replicas of an expert take turns."""
    turns, slots = Counter(), []
    for place, expert in enumerate(selections):
        block = place // BLOCK
        slots.append(slots_of[expert][(turns[block, expert] + block + gpu) % len(slots_of[expert])])
        turns[block, expert] += 1
    return slots


def vllm_ascend(slots_of, gpu, rows):
    """Return the slot of each selection in the rows of a GPU's batch: its replica is always the same."""
    return [slots_of[expert][gpu % len(slots_of[expert])] for row in rows for expert in row]


def vllm_ascend_v2(slots_of, gpu, rows):
    """Return the slot of each selection in the rows of a GPU's batch: a table of 1024 rows says which replica."""
    return [
        slots_of[expert][(number % 1024 + gpu + expert) % len(slots_of[expert])]
        for number, row in enumerate(rows)
        for expert in row
    ]
