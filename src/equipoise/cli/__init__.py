"""The command ``equipoise``; what the commands need is imported when they run, so that help is quick."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from equipoise.cli.commands import Commands
from equipoise.cli.convert import convert
from equipoise.cli.diff import diff
from equipoise.cli.measure import measure
from equipoise.cli.plan import plan
from equipoise.cli.record import record
from equipoise.cli.routing import routing
from equipoise.cli.show import show
from equipoise.cli.simulate import simulate
from equipoise.cli.size import size
from equipoise.cli.trace import trace
from equipoise.cli.warm_up import warm_up

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(plan)
app.command()(show)
app.command()(diff)
app.command()(routing)
app.command()(convert)
app.command()(simulate)
app.command()(size)
app.command()(trace)
app.command()(measure)
app.command()(record)
app.command()(warm_up)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"equipoise {version('equipoise')}")
        raise typer.Exit


@app.callback()
def equipoise(
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Decide where the experts of a Mixture-of-Experts model live on a GPU cluster."""
