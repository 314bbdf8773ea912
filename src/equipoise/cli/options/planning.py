"""The options that say how to plan; the same for all commands that do."""

from __future__ import annotations

from typing import Annotated

import typer

from equipoise.cli.options.panels import LOCALITY, PLANNING
from equipoise.cli.options.values import parse_share
from equipoise.forecasting.forecast import Method
from equipoise.placement import Across, Locality
from equipoise.planning.effort import Effort

AskedLocality = Annotated[
    Locality | None,
    typer.Option(
        "--locality",
        help="Whether experts stay on their group's node (strict, where nothing else says otherwise), may be served on "
        "others too (soft), or live anywhere (none).",
        show_default=False,
        rich_help_panel=LOCALITY,
    ),
]
OffNode = Annotated[
    float | None,
    typer.Option(
        parser=parse_share,
        metavar="SHARE",
        help="Load served off its node at most, such as 5%; makes it soft.",
        rich_help_panel=LOCALITY,
    ),
]
MinReplicas = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="NUMBER",
        help="GPUs, or nodes, that every expert is on at least; 2 survive the loss of any one.",
        rich_help_panel=PLANNING,
    ),
]
AskedAcross = Annotated[Across, typer.Option("--across", help="What --min-replicas counts.", rich_help_panel=PLANNING)]
AskedForecast = Annotated[
    Method,
    typer.Option(
        "--forecast",
        metavar="METHOD",
        help="What of several windows to plan for: auto, by backtest; windows, recent, last, sum, average-1, "
        "average-4, deviation or factors.",
        rich_help_panel=PLANNING,
    ),
]
AskedEffort = Annotated[
    Effort, typer.Option("--effort", help="How far to search for better placements.", rich_help_panel=PLANNING)
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Threads; any number gives the same placement.", rich_help_panel=PLANNING)
]
