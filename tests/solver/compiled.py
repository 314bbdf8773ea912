"""The kernels under test, with a way in from Python. Each is compiled once, when a test first calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

from equipoise.solver.all_counts import _fill, _next_counts, try_all_counts
from equipoise.solver.bounding import raise_bound
from equipoise.solver.free_slots import fill
from equipoise.solver.grouping import group
from equipoise.solver.heap import pop, push, replace
from equipoise.solver.making_room import deal
from equipoise.solver.other_starts import first_transfer, try_other_counts
from equipoise.solver.packing import pack
from equipoise.solver.relief import relieve
from equipoise.solver.replication import replicate, replicate_sparingly
from equipoise.solver.swaps import settle
from equipoise.solver.transfers import refine
from equipoise.solver.windows import mean_peak, next_by_pressure, set_aim, set_windows, weigh_holders, weigh_windows

if TYPE_CHECKING:
    from collections.abc import Callable


def with_a_way_in(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that Python can call and that does nothing but call the kernel."""

    @njit
    def call(*arguments):
        return kernel(*arguments)

    return call


push_entry = with_a_way_in(push)
pop_top = with_a_way_in(pop)
replace_top = with_a_way_in(replace)
group_nodes = with_a_way_in(group)
replicate_experts = with_a_way_in(replicate)
replicate_experts_sparingly = with_a_way_in(replicate_sparingly)
pack_pool = with_a_way_in(pack)
settle_pool = with_a_way_in(settle)
refine_pool = with_a_way_in(refine)
chosen_transfer = with_a_way_in(first_transfer)
try_other_counts_for_pool = with_a_way_in(try_other_counts)
raised_bound = with_a_way_in(raise_bound)
try_every_count = with_a_way_in(try_all_counts)
fill_first = with_a_way_in(_fill)
next_counts = with_a_way_in(_next_counts)
fill_slots = with_a_way_in(fill)
deal_experts = with_a_way_in(deal)
relieve_pool = with_a_way_in(relieve)
set_loads_of_windows = with_a_way_in(set_windows)
set_aim_of_windows = with_a_way_in(set_aim)
weigh_all_windows = with_a_way_in(weigh_windows)
weigh_holders_in_windows = with_a_way_in(weigh_holders)
mean_peak_of_windows = with_a_way_in(mean_peak)
next_by_pressure_gpu = with_a_way_in(next_by_pressure)
