"""Our files in SGLang's own loader, and its own recorder's files in our reader.

What its files import beside torch is replaced: the settings of a server, and parts that loading and dumping do not
reach.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from equipoise.formats import Deployment, read_loads, write_placement
from tests.formats.samples import COUNTS, PLACEMENT, physical_counts

STUBS = """
import importlib.abc, importlib.machinery, importlib.util, json, sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock
import numpy as np, torch

peers, folder, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
for name in ("sglang", "sglang.srt", "sglang.srt.eplb"):
    sys.modules[name] = package = ModuleType(name)
    package.__path__ = [str(peers.joinpath(*name.split(".")))]
for name in ("environ", "utils", "runtime_context", "observability.metrics_collector",
             "model_executor.forward_batch_info", "elastic_ep.elastic_ep", "configs.model_config"):
    sys.modules["sglang.srt." + name] = MagicMock()
sys.modules["einops"] = MagicMock()
moe = SimpleNamespace(
    init_expert_location=str(folder / "placement.json"),
    moe_a2a_backend="none",
    ep_dispatch_algorithm=None,
    expert_distribution_recorder_buffer_size=5,
    eplb_min_rebalancing_utilization_threshold=1.0,
)
context = sys.modules["sglang.srt.runtime_context"]
context.get_exec = lambda: SimpleNamespace(moe=moe)
context.get_device = lambda: SimpleNamespace(device="cpu")
context.get_parallel = lambda: SimpleNamespace(ep_size=4, moe_ep_size=4, nnodes=1)
"""

LOAD = """
from sglang.srt.eplb import expert_location as location
wanted = SimpleNamespace(num_layers=4, num_logical_experts=6, num_groups=None)
location.ExpertLocationMetadata._init_common = staticmethod(lambda model_config: {
    "model_config_for_expert_location": wanted, "num_physical_experts": 8, "base_num_physical_experts": 8, "ep_size": 4,
})
location.get_resources = MagicMock()
found = location.compute_initial_expert_location_metadata(None, moe_ep_rank=0)
replicas = found.logical_to_all_physical_map_num_valid
print(json.dumps({"map": found.physical_to_logical_map.tolist(), "replicas": replicas.tolist()}))
"""

RECORD = """
from sglang.srt.eplb import expert_distribution as recorder
recorder.envs.SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR.get = lambda: str(folder)
torch.distributed.all_reduce = lambda *_, **__: None
torch.get_device_module = MagicMock()
recorder.get_device_namespace = lambda: SimpleNamespace(device="cpu")
with np.load(folder / "counts.npz") as arrays:
    counts, phy2log = torch.tensor(arrays["counts"]), torch.tensor(arrays["phy2log"])
metadata = SimpleNamespace(num_layers=2, num_logical_experts=6, num_physical_experts=8, physical_to_logical_map=phy2log)

def start(self, metadata, rank):
    self._expert_location_metadata, self._rank, self._enable = metadata, rank, False

common = recorder._UtilizationRateAccumulatorMixin
common.__init__, common.append = start, lambda *_: None
for rank in range(1 if mode == "stat" else 3):
    accumulator = (recorder._StatAccumulator if mode == "stat" else recorder._DetailAccumulator)(metadata, rank)
    for number, one_pass in enumerate(counts):
        share = one_pass if mode == "stat" else (one_pass + rank) // 3
        accumulator.append(number, "primary", {"global_physical_count": share}, {})
    accumulator.dump("file")
"""


@pytest.fixture
def sglang(engines):
    """Return a function that runs a script with SGLang's own files."""

    def sglang(script, folder, mode="stat"):
        command = [sys.executable, "-c", STUBS + script, str(engines), str(folder), mode]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return sglang


def test_sglang_loads_the_placement_that_is_written_for_it(sglang, tmp_path):
    write_placement(PLACEMENT, tmp_path / "placement.json", "sglang", Deployment(first_moe_layer=1, num_layers=4))
    found = json.loads(sglang(LOAD, tmp_path))
    assert found["map"][1:3] == PLACEMENT.phy2log.tolist()
    assert len(found["map"]) == 4
    assert found["replicas"][1:3] == PLACEMENT.logcnt.tolist()
    assert np.min(found["replicas"]) >= 1


@pytest.mark.parametrize("mode", ["stat", "per_pass"])
def test_what_sglang_records_is_read(sglang, tmp_path, mode):
    np.savez(tmp_path / "counts.npz", counts=physical_counts(), phy2log=PLACEMENT.phy2log)
    sglang(RECORD, tmp_path, mode)
    files = list(tmp_path.glob("*.pt"))
    assert len(files) == (1 if mode == "stat" else 3)
    np.testing.assert_array_equal(read_loads(files[0] if mode == "stat" else tmp_path).counts, COUNTS)
