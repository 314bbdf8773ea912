"""The notebook of docs/: every cell runs, from the first to the last, and prints what is kept of it."""

from __future__ import annotations

import ast
import json
import sys
from contextlib import redirect_stdout
from io import StringIO

import pytest

from tests.pages import DOCS

plotly = pytest.importorskip("plotly.graph_objects")

CELLS = json.loads((DOCS / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def kept_text(cell):
    return "".join(line for output in cell["outputs"] for line in output.get("text", []))


def kept_pictures(cell):
    return [output for output in cell["outputs"] if "image/png" in output.get("data", {})]


def test_every_cell_prints_and_draws_what_is_kept_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, cell in enumerate(CODE, 1):
        values = []
        monkeypatch.setattr(sys, "displayhook", values.append)  # of which Jupyter shows the last, unless it is None
        with redirect_stdout(StringIO()) as printed:
            exec(compile(ast.Interactive(ast.parse("".join(cell["source"])).body), f"cell {number}", "single"), names)
        assert printed.getvalue() == kept_text(cell)
        shown = [type(value) for value in values[-1:] if value is not None]
        assert shown == [plotly.Figure] * len(kept_pictures(cell))


def test_what_is_kept_was_run_at_once_and_without_errors():
    assert [cell["execution_count"] for cell in CODE] == [*range(1, len(CODE) + 1)]
    assert {output["output_type"] for cell in CODE for output in cell["outputs"]} == {"stream", "display_data"}
