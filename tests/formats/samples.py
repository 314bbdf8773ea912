"""One valid file of every format, small, as its engine writes it."""

from __future__ import annotations

import json
from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from equipoise import Cluster, Loads, Placement
from equipoise.formats import Deployment, write_loads, write_placement
from equipoise.formats.registry import LOADS, PLACEMENTS

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = np.random.default_rng(0).integers(0, 100, (3, 2, 6))
"""Loads ``[windows, layers, experts]`` that every sample of loads stands for."""
CLUSTER = Cluster(gpus=4, slots_per_gpu=2)
PLACEMENT = Placement([[0, 1, 2, 3, 4, 5, 0, 2], [1, 5, 0, 3, 2, 4, 3, 5]], CLUSTER, experts=6)
"""What every sample of a placement stands for; on each GPU in the order of experts, as omni-infer has it."""
DEPLOYMENT = Deployment(gpus=4, first_moe_layer=1)
"""The model's layer 0 is dense."""


def loads_sample(name: str, folder: Path) -> Path:
    """Write the loads as a file, or a folder of files, of this format."""
    if name in SAMPLES:
        return SAMPLES[name](folder)
    return written(folder, LOADS[name].written[0], lambda path: write_loads(Loads(COUNTS), path, name))


def placement_sample(name: str, folder: Path) -> Path:
    """Write the placement as a file of this format."""
    ending = (*PLACEMENTS[name].written, ".json")[0]
    return written(folder, ending, lambda path: write_placement(PLACEMENT, path, name, DEPLOYMENT))


def written(folder: Path, ending: str, write) -> Path:
    path = folder / f"sample{ending}"
    write(path)
    return path


def physical_counts(phy2log=PLACEMENT.phy2log):
    """Return counts of slots that add up to ``COUNTS``: each expert's go to its slots unevenly."""
    counts = np.zeros((len(COUNTS), *phy2log.shape), np.int32)
    for layer, row in enumerate(phy2log):
        for expert in range(COUNTS.shape[2]):
            first, *others = np.flatnonzero(row == expert)
            counts[:, layer, others] = COUNTS[:, layer, expert, None] // 3
            counts[:, layer, first] = COUNTS[:, layer, expert] - counts[:, layer, others].sum(axis=1)
    return counts


def _json(folder: Path) -> Path:
    path = folder / "sample.json"
    path.write_text(json.dumps({"load_history": [{"logical_expert_load": window} for window in COUNTS.tolist()]}))
    return path


def _sglang_dump(folder: Path) -> Path:
    import torch

    path = folder / "expert_distribution_recorder_1.pt"
    steps = torch.zeros((5, *COUNTS.shape[1:]), dtype=torch.int32)
    steps[: len(COUNTS)] = torch.tensor(COUNTS)
    torch.save({"rank": 0, "logical_count": steps, "average_utilization_rate_over_window": None}, path)
    return path


def _sglang_passes(folder: Path) -> Path:
    folder = folder / "passes"
    folder.mkdir()
    write_passes(folder, ranks=3)
    return folder


def write_passes(folder: Path, ranks: int, per_token: bool = False) -> None:
    """Write what the recorder of each rank writes in mode ``per_pass`` or ``per_token``."""
    import torch

    counts = physical_counts()
    for rank in range(ranks):
        part = (counts + rank) // ranks  # whole numbers that add up to the counts
        records = [
            {
                "forward_pass_id": 7 + number,
                "rank": rank,
                "gatherer_key": "primary",
                "global_physical_count": torch.tensor(one_pass),
                **(_tokens(torch) if per_token else {}),
            }
            for number, one_pass in enumerate(part)
        ]
        dump = {"records": records, "last_physical_to_logical_map": torch.tensor(PLACEMENT.phy2log)}
        torch.save(dump, folder / f"expert_distribution_recorder_1758.5_{rank}.pt")


def _tokens(torch):
    ids = torch.full((2, 3, 8), -1, dtype=torch.int32)
    return {
        "input_ids": [1, 2, 3],
        "positions": [0, 1, 2],
        "extend_seq_lens": [3],
        "forward_mode": 1,
        "topk_ids_of_layer": ids,
        "misc_objects": [],
    }


def _vllm_window(folder: Path) -> Path:
    path = folder / "window.npz"
    counts = np.concatenate([physical_counts(), np.zeros((2, 2, 8), np.int32)])
    np.savez(path, expert_load_window=counts, physical_to_logical_map=PLACEMENT.phy2log)
    return path


def _tensorrt_llm_statistics(folder: Path) -> Path:
    folder = folder / "statistics"
    folder.mkdir()
    write_statistics(folder, COUNTS, ranks=2)
    return folder


def write_statistics(folder: Path, counts, ranks: int) -> None:
    """Write the folder, as of iterations 98, 99, ... of layers 9, 10, ..., whose order as texts is another."""
    from safetensors.numpy import save_file

    (folder / "meta_info.json").write_text(json.dumps({"num_experts": counts.shape[2], "num_experts_per_token": 2}))
    for rank in range(ranks):
        part = (counts + rank) // ranks
        keys = np.ndindex(*counts.shape[:2])
        save_file({f"{98 + i}_{9 + layer}": part[i, layer] for i, layer in keys}, folder / f"rank{rank}.safetensors")


def picks_of(window, tokens: int):
    """Return picks ``[tokens, layers, 1]`` that add up to loads ``[layers, experts]``; -1 for what is left."""
    picks = np.full((tokens, len(window), 1), -1, np.int32)
    for layer, row in enumerate(window):
        picked = np.repeat(np.arange(len(row)), row)
        picks[: len(picked), layer, 0] = picked
    return picks


def in_base64(picks, bare: bool = False) -> str:
    """Return picks as vLLM returns them, or bare as SGLang does."""
    content = BytesIO()
    np.save(content, picks)
    return b64encode(picks.astype(np.int32).tobytes() if bare else content.getvalue()).decode()


def _routed_experts(folder: Path) -> Path:
    path = folder / "responses.jsonl"
    texts = [in_base64(picks_of(window, 4096 + 100 * place)) for place, window in enumerate(COUNTS)]
    path.write_text("\n".join(json.dumps({"choices": [{"routed_experts": text}]}) for text in texts))
    return path


def counters(window, name: str = "layers.{}.moe.tokens_per_expert_E"):
    """Return the counters of a training program, of layers 9, 10, ..., whose order as texts is another."""
    import torch

    return {name.format(9 + layer): torch.tensor(row, dtype=torch.float32) for layer, row in enumerate(window)}


def _tokens_per_expert(folder: Path) -> Path:
    import torch

    path = folder / "counters.pt"
    torch.save([counters(window) for window in COUNTS], path)
    return path


def _csv_ranks(folder: Path) -> Path:
    """Write what two ranks dump three times, in long form; what is zero has no row."""
    folder = folder / "ranks"
    folder.mkdir()
    for rank in range(2):
        for window, part in enumerate((COUNTS + rank) // 2):
            rows = [f"{3 + layer},{expert},{part[layer, expert]}" for layer, expert in np.argwhere(part)]
            text = "\n".join(["layer_id,expert_id,count", *rows])
            (folder / f"expert_distribution_rank{rank}_timestamp{98 + window}.5.csv").write_text(text)
    return folder


def _csv_of_npus(folder: Path) -> Path:
    """Write what two NPUs dump three times, each a matrix of its own experts."""
    folder = folder / "ranks"
    folder.mkdir()
    for rank, part in enumerate(np.split(COUNTS, 2, axis=2)):
        for window, matrix in enumerate(part):
            np.savetxt(folder / f"npu_{rank}_{9 + window}.csv", matrix, fmt="%d", delimiter=",")
    return folder


def _csv_matrix(folder: Path) -> Path:
    path = folder / "sample.csv"
    np.savetxt(path, COUNTS[0], fmt="%d", delimiter=",")
    return path


def _vllm_dump(folder: Path) -> Path:
    """Write snapshots with the map of each, which changes in between; a second rank writes the first again."""
    path = folder / "expert_load.jsonl"
    lines = []
    for step, window in enumerate(COUNTS):
        phy2log = np.roll(PLACEMENT.phy2log, step, axis=1)
        load = physical_counts(phy2log)[step]
        lines.append(
            json.dumps(
                {
                    "step": 98 + step,
                    "num_logical_experts": window.shape[1],
                    "window_expert_load": load.tolist(),
                    "physical_to_logical_map": phy2log.tolist(),
                }
            )
        )
    path.write_text("\n".join([lines[0], *lines]))
    return path


def _tensor(folder: Path) -> Path:
    import torch

    path = folder / "workload.pt"
    torch.save(torch.tensor(COUNTS), path)
    return path


def _tensor_in_safetensors(folder: Path) -> Path:
    from safetensors.numpy import save_file

    path = folder / "workload.safetensors"
    save_file({"expert_load": COUNTS}, path)
    return path


def _sglang_picks(folder: Path) -> Path:
    """Write what one rank records in mode ``per_token`` with a backend that leaves only the picks of each token."""
    import torch

    folder = folder / "passes"
    folder.mkdir()
    phy2log = np.tile(np.arange(COUNTS.shape[2]), (COUNTS.shape[1], 1))
    records = [
        {
            "forward_pass_id": number,
            "rank": 0,
            "gatherer_key": "primary",
            "topk_ids_of_layer": torch.tensor(picks_of(window, int(window.sum(axis=1).max()) + 3).swapaxes(0, 1)),
        }
        for number, window in enumerate(COUNTS)
    ]
    torch.save({"records": records, "last_physical_to_logical_map": torch.tensor(phy2log)}, folder / "recorder_0.pt")
    return folder


SAMPLES = {
    "vllm-dump": _vllm_dump,
    "tensor": _tensor,
    "csv-ranks": _csv_ranks,
    "json": _json,
    "sglang-dump": _sglang_dump,
    "sglang-passes": _sglang_passes,
    "vllm-window": _vllm_window,
    "tensorrt-llm-statistics": _tensorrt_llm_statistics,
    "routed-experts": _routed_experts,
    "tokens-per-expert": _tokens_per_expert,
}

VARIANTS = {
    "tensor, safetensors": _tensor_in_safetensors,
    "sglang-passes, picks": _sglang_picks,
    "csv-ranks, side by side": _csv_of_npus,
    "csv, matrix": _csv_matrix,
}
"""Other files of formats that have several kinds, by the format's name and what is special; all or some windows."""
