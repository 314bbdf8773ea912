import os
import subprocess
import sys

from typer.testing import CliRunner

from equipoise.cli import app
from equipoise.solver.keeping import kept_in


def test_it_compiles_all_and_says_where_that_is():
    first, second = CliRunner().invoke(app, ["warm-up"]), CliRunner().invoke(app, ["warm-up"])
    assert (first.exit_code, second.exit_code) == (0, 0)
    said = " ".join(second.stdout.split())
    assert said.startswith("all compiled before; kept in ")
    assert all(str(place) in said.replace(" ", "") for place in kept_in())


def test_where_nothing_can_be_kept_it_fails_and_says_what_to_set(tmp_path):
    tiny = "import equipoise.planner, equipoise.solver.compiling as c, numpy as np; "
    tiny += "equipoise.planner.warm_up = lambda **_: c.Entry(lambda values: None)(np.ones(1)); "
    command = tiny + "import sys; sys.argv = ['equipoise', 'warm-up']; from equipoise.cli import app; app()"
    (tmp_path / "file").touch()
    variables = os.environ | {"EQUIPOISE_CACHE_DIR": str(tmp_path / "file")}
    ended = subprocess.run([sys.executable, "-c", command], env=variables, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert f"nothing can be written to {tmp_path / 'file'}. Set EQUIPOISE_CACHE_DIR" in ended.stderr
