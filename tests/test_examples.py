"""The examples run, as their first lines say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_a_model_is_recorded_planned_served_and_planned_again():
    program = EXAMPLES / "expert_parallel.py"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "4"]
    found = subprocess.run([*launch, program], check=True, capture_output=True, text=True, timeout=300)
    lines = re.findall(r"PAR (\S+) -> (\S+) with (\d+) moves; (\S+) with the first plan", found.stdout)
    assert len(lines) == 4
    assert all(float(after) <= float(before) for before, after, *_ in lines)
    assert float(lines[-1][1]) < float(lines[-1][3])
