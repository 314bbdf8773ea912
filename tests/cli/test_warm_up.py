from typer.testing import CliRunner

from equipoise.cli import app
from equipoise.solver.keeping import kept_in


def test_it_compiles_all_and_says_where_that_is():
    first, second = CliRunner().invoke(app, ["warm-up"]), CliRunner().invoke(app, ["warm-up"])
    assert (first.exit_code, second.exit_code) == (0, 0)
    said = " ".join(second.stdout.split())
    assert said.startswith("all compiled before; kept in ")
    assert all(str(place) in said.replace(" ", "") for place in kept_in())


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    CliRunner().invoke(app, ["warm-up"])  # or it would compile for this folder
    (tmp_path / "file").touch()
    monkeypatch.setenv("EQUIPOISE_CACHE_DIR", str(tmp_path / "file"))
    refused = CliRunner().invoke(app, ["warm-up"])
    assert refused.exit_code == 1
    assert "EQUIPOISE_CACHE_DIR" in refused.stderr
