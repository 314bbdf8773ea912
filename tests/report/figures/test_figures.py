"""The figures, number by number, against what the library says of the same plan."""

from __future__ import annotations

import importlib
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise.report
from equipoise import Cluster, InputError, Loads, Migration, balance, plan, simulate
from equipoise.planning.forecast import Forecast
from equipoise.replay.policies import Afresh, FewMoves, Never, Oracle
from equipoise.report import loads_figure, plan_figure
from equipoise.report.figures.end_names import LINE_HEIGHT, apart
from equipoise.report.figures.forecast_methods import forecast_methods
from equipoise.report.figures.layer_times import layer_times
from equipoise.report.figures.par import window_peaks
from equipoise.report.figures.policies_over_time import policies_over_time
from equipoise.report.figures.window_heights import window_heights
from tests.report.conftest import BATCH, CLUSTER, COUNTS
from tests.situations import changed_ones, live_ones


def times_mean(placement, loads):
    served = balance(placement, loads)
    return served.gpu_load[0] / served.mean[0][:, None]


def test_the_heat_maps_are_the_loads_of_the_gpus(planned):
    before, after = plan_figure(planned).data
    for shown, placement in ((before, planned.before), (after, planned.placement)):
        np.testing.assert_allclose(shown.customdata, times_mean(placement, planned.loads), rtol=1e-6)
        np.testing.assert_allclose(2.0**shown.z, shown.customdata, rtol=1e-5)
        assert shown.coloraxis == "coloraxis"


def test_the_colours_are_neutral_at_the_mean_and_reach_as_far_to_both_sides(planned):
    colours = plan_figure(planned).layout.coloraxis
    farthest = max(np.abs(shown.z).max() for shown in plan_figure(planned).data)
    assert colours.cmin == -colours.cmax
    assert farthest <= colours.cmax <= 2
    assert colours.colorbar.ticktext[2] == "1"


def test_what_is_beyond_the_colours_is_said():
    ticks = plan_figure(plan([[1000, 1, 1, 1]], Cluster(gpus=2, slots_per_gpu=2)), "experts").layout.coloraxis
    assert (ticks.colorbar.ticktext[0], ticks.colorbar.ticktext[-1]) == ("0.25 or less", "4 or more")
    even = plan_figure(plan([[1, 1, 1, 1]], Cluster(gpus=2, slots_per_gpu=2))).layout.coloraxis
    assert even.colorbar.ticktext[-1] == "1.05"


def test_colours_have_ticks_on_round_values(planned):
    for figure in (plan_figure(planned), plan_figure(planned, "experts"), forecast_methods(planned.forecast)):
        bar = figure.layout.coloraxis.colorbar
        numbers = [float(words.split()[0]) for words in bar.ticktext]
        np.testing.assert_allclose(2.0 ** np.array(bar.tickvals), numbers)
        assert all(number == round(number, 2) for number in numbers)


def test_before_and_after_are_beside_each_other_over_the_same_gpus(planned):
    for figure in (plan_figure(planned), plan_figure(planned, layer=0)):
        left, right = figure.layout.xaxis, figure.layout.xaxis2
        assert left.domain[1] < right.domain[0]
        assert left.range == right.range == (-0.5, 3.5)
        assert figure.layout.yaxis2.matches == "y"
        assert [title.text for title in figure.layout.annotations] == ["before", "after"]


def test_dead_gpus_are_hatched_where_they_are_dead():
    planned = plan(COUNTS[0], Cluster(gpus=4, slots_per_gpu=6, dead=(1,)))
    for figure in (plan_figure(planned), plan_figure(planned, layer=0)):
        strokes = [shape for shape in figure.layout.shapes if shape.type == "path"]
        assert [shape.xref for shape in strokes] == ["x2"]
        ends = np.array(re.findall(r"[ML]([\d.]+),([\d.]+)", strokes[0].path), float)
        assert set(ends[:, 0]) == {0.5, 1.5}
        assert (ends[:, 1].min(), ends[:, 1].max()) == (0, 1)


def test_dead_gpus_and_idle_layers_are_blank():
    counts = COUNTS.sum(axis=0)
    counts[2] = 0
    cluster = Cluster(gpus=4, nodes=2, slots_per_gpu=6, dead=(1,))
    before, after = plan_figure(plan(counts, cluster)).data
    assert np.isnan(after.z[:, 1]).all()
    assert np.isnan(after.z[2]).all()
    assert np.isnan(before.z).sum() == 4
    assert np.isnan(after.z).sum() == 5 + 3


def test_the_peaks_are_par_and_bound(planned):
    lines = {(line.name, line.yaxis): line.y for line in plan_figure(planned, "peaks").data}
    np.testing.assert_allclose(lines["before", "y"], planned.scenarios.par(planned.before))
    np.testing.assert_allclose(lines["after", "y"], planned.par)
    np.testing.assert_allclose(lines["after", "y2"], planned.par)
    np.testing.assert_allclose(lines["bound", "y2"], planned.bound / planned.mean)


def test_axes_of_par_start_from_1_and_end_on_a_tick(planned):
    for figure in (plan_figure(planned, "peaks"), window_peaks(planned, Loads(COUNTS))):
        for axis, values in (("yaxis", figure.data[0].y), ("yaxis2", figure.data[2].y)):
            axis = figure.layout[axis]
            assert axis.range[0] == axis.tick0 == 1
            steps = (axis.range[1] - 1) / axis.dtick
            assert steps == pytest.approx(round(steps))
            assert max(values) <= axis.range[1]


def test_the_peaks_of_windows_are_those_of_the_recording_not_of_what_was_planned_for():
    planned = plan(COUNTS[-1], CLUSTER)
    figure = window_peaks(planned, Loads(COUNTS))
    lines = {(line.name, line.yaxis): line.y for line in figure.data}
    placements = planned.before, planned.placement
    before, after = ([balance(placement, counts).par.mean() for counts in COUNTS] for placement in placements)
    np.testing.assert_allclose(lines["before", "y"], before)
    np.testing.assert_allclose(lines["after", "y"], after)
    np.testing.assert_allclose(lines["after", "y2"], after)
    assert set(lines) == {("before", "y"), ("after", "y"), ("after", "y2")}
    assert np.argmin(after) == len(COUNTS) - 1
    assert figure.layout.meta["label"].endswith(f"the most in window {np.argmax(after)}")


def test_forecasts_come_by_their_par_with_a_dot_on_the_one_chosen(planned):
    tested = {"recent": [[1.4, 1.2], [1.2, 1.0]], "last": [[1.1, 1.0], [1.1, 1.2]], "sum": [[1.5, 2.0], [1.5, 3.0]]}
    expected = Forecast(planned.scenarios, ("last", "recent"), {name: np.array(par) for name, par in tested.items()})
    figure = forecast_methods(expected)
    shown, dots = figure.data
    par = np.array([[1.1, 1.1], [1.3, 1.1], [1.5, 2.5]])
    np.testing.assert_allclose(shown.customdata, par, rtol=1e-6)
    np.testing.assert_allclose(2.0**shown.z, par, rtol=1e-6)
    assert [row[0] for row in shown.text] == ["last", "recent", "sum"]
    assert figure.layout.yaxis.ticktext == ("last", "recent", "sum")
    assert (dots.x.tolist(), dots.y.tolist()) == ([0, 1], [0, 1])
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 2)
    assert figure.layout.coloraxis.colorbar.ticktext[0] == "1"
    assert figure.layout.meta["layersOn"] == "x"


def test_few_layers_and_gpus_have_a_tick_each(planned):
    assert plan_figure(planned).layout.yaxis.dtick == plan_figure(planned).layout.xaxis.dtick == 1
    assert plan_figure(planned, "peaks").layout.xaxis.dtick == 1
    assert loads_figure(Loads(np.ones((11, 4)))).layout.yaxis.dtick is None


def test_bars_are_as_wide_as_their_columns_whichever_gpus_they_are_on(planned):
    for figure in (plan_figure(planned, layer=0), plan_figure(planned, "experts", layer=0)):
        assert {bars.width for bars in figure.data} <= {0.92, 0.85}


@settings(max_examples=10, deadline=None)
@given(live_ones() | changed_ones())
def test_the_blocks_of_a_layer_are_its_slots(situation):
    planned = situation.plan()
    layer = len(situation.loads) - 1
    traces = plan_figure(planned, layer=layer).data
    unit = planned.mean[layer] or 1.0
    for axis, placement in (("y", planned.before), ("y2", planned.placement)):
        blocks = [trace for trace in traces if trace.yaxis == axis]
        gpu, base, height = (np.concatenate([trace[name] for trace in blocks]) for name in ("x", "base", "y"))
        expert, copies = np.concatenate([trace.customdata for trace in blocks]).T
        slots = placement.phy2log[layer].reshape(placement.cluster.gpus, -1)
        held = balance(placement, planned.loads).gpu_load[0, layer] / unit
        for number, row in enumerate(slots):
            here = gpu == number
            assert sorted(expert[here]) == sorted(row[row >= 0])
            np.testing.assert_allclose(height[here].sum(), held[number], rtol=1e-5, atol=1e-30)
            order = np.argsort(base[here], kind="stable")
            tops = np.concatenate([[0], np.cumsum(height[here][order])])
            np.testing.assert_allclose(base[here][order].astype(float), tops[:-1], rtol=1e-5, atol=1e-6)
        assert (copies == placement.logcnt[layer, expert]).all()


@settings(max_examples=10, deadline=None)
@given(live_ones() | changed_ones())
def test_every_plan_has_all_figures(situation):
    planned = situation.plan()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictured = [plan_figure(planned, of) for of in ("gpus", "peaks", "experts", "moves")]
        pictured += [plan_figure(planned, of, layer=0) for of in ("gpus", "experts")]
    assert all(figure.layout.meta["label"] and "nan" not in figure.layout.meta["label"] for figure in pictured)


def test_the_experts_of_a_layer_come_by_load_and_copies_share_it(planned):
    single, several, each = plan_figure(planned, "experts", layer=3).data
    load, copies = planned.loads.counts[0, 3], planned.placement.logcnt[3]
    bars = {
        int(place): (row, y)
        for trace in (single, several)
        for place, row, y in zip(trace.x, trace.customdata, trace.y, strict=True)
    }
    order = [int(bars[place][0][0]) for place in range(16)]
    assert order == np.argsort(-load, kind="stable").tolist()
    np.testing.assert_allclose([bars[place][1] for place in range(16)], load[order] / load.mean(), rtol=1e-6)
    assert [int(bars[place][0][1]) for place in range(16)] == copies[order].tolist()
    assert (several.customdata[:, 1] > 1).all()
    np.testing.assert_allclose(each.y * each.customdata[:, 1], several.y, rtol=1e-6)
    np.testing.assert_array_equal(each.x, several.x)


def test_the_experts_of_all_layers_come_by_load_with_their_copies(planned):
    counts = planned.loads.counts[0]
    shown = plan_figure(planned, "experts").data[0]
    expert = shown.customdata[:, :, 0].astype(int)
    np.testing.assert_array_equal(np.sort(expert, axis=1), np.tile(np.arange(16), (5, 1)))
    np.testing.assert_allclose(
        shown.customdata[:, :, 1] * counts.mean(axis=1)[:, None], -np.sort(-counts, axis=1), rtol=1e-6
    )
    np.testing.assert_array_equal(
        shown.customdata[:, :, 2], np.take_along_axis(planned.placement.logcnt, expert, axis=1)
    )
    np.testing.assert_allclose(2.0**shown.z, shown.customdata[:, :, 1], rtol=1e-5)


def test_loads_show_the_same_experts_without_copies(planned):
    alone, with_copies = loads_figure(planned.loads).data[0], plan_figure(planned, "experts").data[0]
    np.testing.assert_array_equal(alone.z, with_copies.z)
    assert alone.customdata.shape[2] == 2
    bars = loads_figure(Loads(COUNTS), layer=1).data
    np.testing.assert_allclose(
        np.sort(bars[0].y), np.sort(COUNTS.sum(axis=0)[1] / COUNTS.sum(axis=0)[1].mean()), rtol=1e-6
    )
    assert [len(trace.x) for trace in bars[1:]] == [0, 0]


def test_moves_are_those_of_the_migration(planned):
    shown = plan_figure(planned, "moves")
    np.testing.assert_array_equal(shown.data[0].z, Migration(planned.before, planned.placement).by_link())
    within = int(np.trace(shown.data[0].z))
    assert shown.layout.meta["label"].startswith(f"{within} experts move within nodes, ")


def test_blocks_are_as_high_in_a_window_as_their_slots_are_loaded(planned):
    heights = window_heights(planned, Loads(COUNTS))
    for side, placement in enumerate((planned.before, planned.placement)):
        served = balance(placement, COUNTS)
        np.testing.assert_allclose(heights[side].sum(axis=3), served.gpu_load / served.mean[:, :, None])
        layer, window = 3, 2
        expected = COUNTS[window, layer] / placement.logcnt[layer] / served.mean[window, layer]
        flat = heights[side][window, layer].ravel()
        for blocks in plan_figure(planned, layer=layer).data[2 * side :][:2]:
            assert blocks.meta["side"] == side
            np.testing.assert_allclose(flat[blocks.meta["places"]], expected[blocks.customdata[:, 0]])


def test_layers_have_their_time_before_and_after_for_every_batch(planned):
    times = [planned.time_saved(BATCH), planned.time_saved(replace(BATCH, tokens=4096))]
    lines = {(line.name, line.yaxis): line.y for line in layer_times(times).data}
    for axis, saved in zip(("y", "y2"), times, strict=True):
        np.testing.assert_allclose(lines["before", axis], saved.before.by_layer(saved.weights))
        np.testing.assert_allclose(lines["after", axis], saved.after.by_layer(saved.weights))


def test_what_stays_within_a_node_is_outlined_and_the_scale_has_whole_numbers(planned):
    layout = plan_figure(planned, "moves").layout
    assert [(box.x0, box.x1, box.y0, box.y1) for box in layout.shapes] == [(-0.5, 0.5) * 2, (0.5, 1.5) * 2]
    assert len(layout.coloraxis.colorscale) == 2
    assert (layout.coloraxis.cmin, layout.coloraxis.colorbar.dtick % 1) == (0, 0)
    assert layout.coloraxis.colorbar.title.text == "experts"


@pytest.fixture(scope="module")
def replays():
    budgets = {f"few moves: {number}": FewMoves(number, forecast="last") for number in (1, 2, 4, 8, 16)}
    policies = {"never": Never(), "afresh": Afresh(), **budgets, "oracle": Oracle()}
    return {name: simulate(COUNTS, CLUSTER, policy) for name, policy in policies.items()}


def test_policies_look_different_however_many_there_are(replays):
    lines = policies_over_time(replays).data[: len(replays)]
    assert [line.name for line in lines] == list(replays)
    assert len({(line.line.color, line.line.dash) for line in lines}) == len(lines)
    colours = {line.name: line.line.color for line in lines}
    assert all(list(colours.values()).count(colours[name]) == 1 for name in ("never", "oracle"))


def test_lines_are_named_at_their_ends_and_no_name_covers_another(replays):
    figure = policies_over_time(replays)
    plot = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    for row, axis in (("y", "yaxis"), ("y2", "yaxis2"), ("y3", "yaxis3")):
        low, high = figure.layout[axis].range
        pixels = np.subtract(*figure.layout[axis].domain[::-1]) * plot
        names = [one for one in figure.layout.annotations if one.yref == row]
        ends = {line.name: line.y[-1] for line in figure.data if line.yaxis == row}
        assert {one.text: one.y for one in names} == pytest.approx(ends)
        heights = sorted((one.y - low) / (high - low) * pixels - one.ay for one in names)
        assert np.diff(heights).min() >= LINE_HEIGHT - 1e-6
        assert -1e-6 <= heights[0] <= heights[-1] <= pixels + 1e-6


@given(st.lists(st.floats(0, 200), min_size=1, max_size=12))
def test_names_keep_their_order_and_stay_where_they_have_room(wanted):
    wanted = np.array(wanted)
    heights = apart(wanted, 200)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(heights[order]) >= LINE_HEIGHT - 1e-6).all()
    assert (heights >= -1e-6).all()
    assert (heights <= 200 + 1e-6).all()
    if (np.diff(wanted[order]) >= LINE_HEIGHT).all():
        np.testing.assert_allclose(heights, wanted, atol=1e-6)


def test_policies_have_a_line_each_in_every_row(replays):
    lines = {(line.name, line.yaxis): line for line in policies_over_time(replays).data}
    assert len(lines) == 3 * len(replays)
    for name, replay in replays.items():
        for axis, values in (("y", replay.par), ("y2", replay.moves), ("y3", replay.stall_seconds)):
            np.testing.assert_allclose(lines[name, axis].y, values, rtol=1e-6)
            np.testing.assert_array_equal(lines[name, axis].x, replay.window)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("speed",), "of is 'speed'; expected 'gpus', 'peaks', 'experts', 'moves'"),
        (("gpus", 5), "layer is 5; expected 0 to 4"),
        (("experts", -1), "layer is -1; expected 0 to 4"),
        (("moves", 0), "a figure of moves is of all layers; expected 'gpus' or 'experts' with a layer"),
    ],
)
def test_what_there_is_no_figure_of(planned, arguments, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        plan_figure(planned, *arguments)


def test_loads_of_no_such_layer():
    with pytest.raises(InputError, match="layer is 7; expected 0 to 4"):
        loads_figure(Loads(COUNTS), 7)


def test_without_plotly_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'equipoise\[report\]'"):
        importlib.reload(equipoise.report)


def test_lines_part_the_nodes_and_nothing_where_there_is_one(planned):
    assert [line.path for line in plan_figure(planned).layout.shapes] == ["M1.5,0V1"] * 2
    assert not plan_figure(plan(COUNTS, Cluster(gpus=4, slots_per_gpu=6))).layout.shapes


def test_a_plan_for_filled_routing_is_drawn_as_it_is_filled():
    filled = plan(Loads(COUNTS), CLUSTER, routing="filled")
    served = balance(filled.placement, filled.loads, routing="filled")
    shown = plan_figure(filled).data[1]
    np.testing.assert_allclose(shown.customdata, served.gpu_load[0] / served.mean[0][:, None], rtol=1e-6)
    peak = served.par[0, 2]
    assert f"has {peak:.4f} times the mean" in plan_figure(filled, layer=2).layout.meta["label"].partition("after")[2]
    recorded = balance(filled.placement, COUNTS, routing="filled").par.mean(axis=1)
    np.testing.assert_allclose(window_peaks(filled, Loads(COUNTS)).data[1].y, recorded)
