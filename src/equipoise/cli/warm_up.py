"""``equipoise warm-up``: compile before anybody waits."""

from __future__ import annotations


def warm_up() -> None:
    """Compile the loops of all commands and plug-ins before anybody waits, and say where they are kept.

    That is done once for a version, on each kind of processor. EQUIPOISE_CACHE_DIR names the folder; otherwise it is
    one beside the installed package, or the user's.
    """
    from typing import get_args

    from equipoise.cli.terminal.console import print_line
    from equipoise.cli.terminal.progress import progress_bar
    from equipoise.cli.terminal.stopwatch import stopwatch
    from equipoise.errors import InputError
    from equipoise.planner import warm_up
    from equipoise.planning.request import PlannedRouting
    from equipoise.solver.keeping import kept_in, places

    with progress_bar("compiling"), stopwatch() as time:
        for routing in get_args(PlannedRouting):
            warm_up(windows=2, routing=routing, across="nodes")
    kept = kept_in()
    if not kept:
        raise InputError(
            f"nothing can be written to {' or '.join(str(place.parent) for place in places())}, so that every process "
            "compiles; set EQUIPOISE_CACHE_DIR to a folder that can be written to"
        )
    said = f"compiled in {time.compiling / 1000:.0f} s" if time.compiling else "all compiled before"
    print_line(f"{said}; kept in {' and '.join(map(str, kept))}")
