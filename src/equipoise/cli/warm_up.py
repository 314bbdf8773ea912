"""``equipoise warm-up``: compile before anybody waits."""

from __future__ import annotations

import typer


def warm_up() -> None:
    """Compile the loops of all commands and plug-ins before anybody waits, and say where they are kept.

    That is done once for a version, on each kind of processor. EQUIPOISE_CACHE_DIR names the folder; otherwise it is
    one beside the installed package, or the user's.
    """
    from typing import get_args

    from equipoise.cli.terminal.console import print_line
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.cli.terminal.stopwatch import stopwatch
    from equipoise.planner import warm_up
    from equipoise.planning.request import PlannedRouting
    from equipoise.solver.keeping import NOT_KEPT, kept_in

    with progress_bar("compiling"), stopwatch() as time:
        for routing in get_args(PlannedRouting):
            warm_up(windows=2, routing=routing, across="nodes")
    if NOT_KEPT:  # and why is said
        raise typer.Exit(1)
    said = f"compiled in {time.compiling / 1000:.0f} s" if time.compiling else "all compiled before"
    print_line(f"{said}; kept in {' and '.join(map(str, kept_in()))}")
