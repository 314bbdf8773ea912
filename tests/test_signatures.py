"""One request is handed on whole: no function grows a list of parameters."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "equipoise"
MOST = 6
# What is called from outside as it is: the public API, what engines call, and the commands with their options.
PUBLIC = {
    "planner.py",
    "forecasting/forecast.py",
    "replay/simulate.py",
    "planning/request.py",
    "placement.py",
    "sizing/size.py",
    "serving/balance.py",
    "runtime/sglang.py",
}
FROM_OUTSIDE = {"engines", "cli", "solver"}
# A kernel takes pointers and numbers one by one, and a torch operator what its schema can say.
ONE_BY_ONE = {
    "router/kernels/counting.py",
    "router/kernels/filling.py",
    "router/kernels/looking_up.py",
    "router/operators.py",
}


def parameters(function: ast.FunctionDef) -> list[str]:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [one.arg for one in every if one.arg not in ("self", "cls")]


def test_no_function_inside_has_more_than_six_parameters():
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and len(parameters(node)) > MOST:
                found[f"{path}: {node.name}"] = parameters(node)
    inside = {
        name
        for name in found
        if name.split(":")[0] not in PUBLIC | ONE_BY_ONE and name.split("/")[0] not in FROM_OUTSIDE
    }
    assert not inside
    assert "planner.py: plan" in found
