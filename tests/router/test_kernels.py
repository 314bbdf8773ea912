"""The kernels do what the reference says, bit for bit: in Triton's interpreter here, or on a GPU where there is one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.router import reference
from equipoise.router.held import Held
from equipoise.router.rules import TABLE
from tests.router.cases import cases, sample_case

torch = pytest.importorskip("torch")
pytest.importorskip("triton", reason="no Triton on this platform")
kernels = pytest.importorskip("equipoise.router.kernels.launching")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def check(case, unpadded=None):
    """Assert that kernels and reference write the same, and look the same up."""
    held, picks = Held(*(array.to(DEVICE) for array in case.held)), case.picks.to(DEVICE)
    expected, entries = reference.fill_table(picks, held, case.rules, unpadded)
    found, counted = kernels.fill_table(picks, held, case.rules, unpadded)
    assert torch.equal(counted, entries)
    several = entries == TABLE
    assert torch.equal(found[several], expected[several])
    assert torch.equal(found[:, 0], expected[:, 0])
    assert torch.equal(kernels.look_up(picks, found, entries), reference.look_up(picks, expected, entries))
    assert torch.equal(kernels.fill_quotas(picks, held, case.rules), reference.fill_quotas(picks, held, case.rules))


@settings(max_examples=25)
@given(case=cases().filter(lambda case: len(case.picks)))
def test_small_worlds(case):
    check(case)


@pytest.mark.parametrize("tokens", [1, 16, 256, 257, 2000, 9000])
@pytest.mark.parametrize(("rank", "floor"), [(None, 0), (0, 256), (31, 0)])
def test_a_batch_of_deepseek_v3(tokens, rank, floor):
    check(sample_case(tokens, rank, floor))


@settings(max_examples=10)
@given(case=cases().filter(lambda case: len(case.picks)), share=st.floats(0, 1))
def test_padding_is_not_counted(case, share):
    unpadded = int(len(case.picks) * share)
    check(case, torch.tensor(unpadded, dtype=torch.int32, device=DEVICE))
    padded = reference.fill_table(case.picks, case.held, case.rules, torch.tensor(unpadded))
    ignored = torch.where(torch.arange(len(case.picks))[:, None] < unpadded, case.picks, -1)
    assert all(map(torch.equal, padded, reference.fill_table(ignored, case.held, case.rules, None)))


@pytest.mark.skipif(DEVICE == "cpu", reason="no GPU to capture a graph on")
def test_a_captured_graph_routes_other_batches():
    case = sample_case(256, 5)
    held, picks = Held(*(array.to(DEVICE) for array in case.held)), case.picks.to(DEVICE)

    def routed():
        return kernels.look_up(picks, *kernels.fill_table(picks, held, case.rules, None))

    routed()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        slots = routed()
    picks.copy_(picks.roll(77).clamp(0, 99))
    graph.replay()
    assert torch.equal(slots, routed())


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from equipoise.router.kernels.counting import count_kernel
from equipoise.router.kernels.filling import fill_kernel
from equipoise.router.kernels.looking_up import look_up_kernel

POINTERS = dict.fromkeys(["picks", "unpadded", "log2phy", "logcnt", "table", "entries", "slots", "out"], "*i64")
POINTERS |= {"found": "*i32", "scratch": "*i32"}
SHAPES = {"HAS_PADDING": True, "EXPERTS": 256, "ROWS": 32, "CODES": 64}
FILL = SHAPES | {"PROGRAMS": 16, "REPLICAS": 8, "GPUS": 32, "SEATS": 16, "UNITS": 64, "PASSES": 4}
for kernel, shapes, warps in [
    (fill_kernel, FILL | {"COUNTED": False, "IN_ORDER": False, "BLOCK": 2048, "ROUNDS": 4}, 2),
    (fill_kernel, FILL | {"COUNTED": True, "IN_ORDER": True, "BLOCK": 2048, "ROUNDS": 8}, 2),
    (count_kernel, SHAPES | {"BLOCK": 1024, "BLOCKS": 4}, 4),
    (look_up_kernel, {"BLOCK": 256}, 4),
]:
    kinds = {name: "constexpr" if name in shapes else POINTERS.get(name, "i32") for name in kernel.arg_names}
    source = triton.compiler.ASTSource(kernel, signature=kinds, constexprs=shapes)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
    print(kernel.__name__, len(compiled.asm["cubin"]) > 0)
"""


def test_they_compile_for_an_h100():
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    found = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment)
    assert found.stdout.count("True") == 4, found.stderr
