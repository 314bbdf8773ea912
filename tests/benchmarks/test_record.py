"""The benchmark of recording: a small model, in one round."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app

pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import record


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(record, "TOKENS", 8)
    for name, size in {"hidden_size": 32, "moe_intermediate_size": 16}.items():
        monkeypatch.setitem(record.SIZES, name, size)


def test_the_overhead_is_what_a_recorded_pass_takes_more():
    (told,) = json.loads(CliRunner().invoke(app, ["record", "--rounds", "1", "--json"]).stdout)
    assert (told["tokens"], told["layers"], told["experts"]) == (32, 2, 32)
    assert told["overhead"] == pytest.approx(told["recorded"] / told["alone"] - 1)


def test_people_read_it_in_a_table():
    printed = CliRunner().invoke(app, ["record", "--rounds", "1"]).stdout
    assert "overhead" in printed
    assert "2 x 32" in printed
