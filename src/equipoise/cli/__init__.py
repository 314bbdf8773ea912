"""The command ``equipoise``: what commands there are. Each is imported when it is run, so that help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from equipoise.cli.commands import Commands, Later

SUMMARIES = {
    "plan": "Plan where the experts live, for recorded loads or for a synthetic sample in DeepSeek-V3's shape.",
    "show": "Show what recorded loads or a placement hold; a placement of Equipoise that is not valid is an error.",
    "diff": "Show what moves between two placements, over which links, in how many batches, and what that is worth.",
    "routing": "Show the balance that each engine's choice of replicas gives a placement, and the best that any could.",
    "convert": "Convert loads or a placement to another format, such as an engine's.",
    "simulate": "Replay a trace, or a synthetic sample, to compare policies: when to plan again, and how much to move.",
    "size": "Say how many slots to have, over how many GPUs: PAR of the traffic to come, layer time and memory.",
    "trace": "Write synthetic loads that change from window to window as the regime says.",
    "measure": "Time the experts of GPUs on this machine, and fit what tokens, experts and tiles cost.",
    "record": "Run prompts through a model of transformers, and record which experts they pick.",
    "warm-up": "Compile the loops of all commands and plug-ins before anybody waits, and say where they are kept.",
}

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, summary in SUMMARIES.items():
    app.command(name, cls=Later, help=summary)(lambda: None)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

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
