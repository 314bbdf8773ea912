"""``python -m equipoise``: the command."""

from equipoise.cli import app

app(prog_name="equipoise")
