"""The curves of layer time over the size of batches, number by number."""

from __future__ import annotations

from equipoise import Cell
from equipoise.report.figures.size_curves import size_curves

OTHER = {"par": 1.0, "error": 0.0, "beyond": False, "memory": None, "tokens_per_second": 1.0}


def cell(gpus, slots, tokens, time, groups=1, routing="even"):
    return Cell(gpus, 1, slots, groups, tokens, routing, layer_time=time, **OTHER)


def test_every_choice_is_a_line_and_again_beyond_the_fastest():
    cells = [cell(32, 8, 16, 300.0), cell(32, 8, 64, 440.0), cell(32, 9, 16, 330.0), cell(32, 9, 64, 400.0)]
    figure = size_curves(cells)
    assert [line.name for line in figure.data] == ["32 GPUs, 8 slots"] * 2 + ["32 GPUs, 9 slots"] * 2
    assert [list(line.x) for line in figure.data] == [[16, 64]] * 4
    assert [list(line.y.round(3)) for line in figure.data] == [[300, 440], [0, 0.1], [330, 400], [0.1, 0]]
    assert [(name.text, name.yref) for name in figure.layout.annotations] == [
        ("32 GPUs, 8 slots", "y"),
        ("32 GPUs, 9 slots", "y"),
        ("32 GPUs, 8 slots", "y2"),
        ("32 GPUs, 9 slots", "y2"),
    ]
    assert figure.layout.yaxis.ticktext == ("300", "400")
    assert figure.layout.meta["label"].endswith("32 GPUs, 8 slots 300 to 440, 32 GPUs, 9 slots 330 to 400")


def test_gpus_differ_by_colour_and_all_lines_by_dash():
    cells = [cell(gpus, slots, 16, 300.0, groups) for gpus in (16, 32) for slots in (8, 9) for groups in (1, 8)]
    lines = size_curves([*cells, cell(16, 8, 16, 300.0, routing="vllm")]).data[::2]
    colours = {line.name: line.line.color for line in lines}
    assert colours["16 GPUs, 8 slots"] == colours["16 GPUs, 9 slots"] == colours["16 GPUs, 8 slots, vllm"]
    assert len({colours[name] for name in ("16 GPUs, 8 slots", "16 GPUs, 8 slots, 8 groups", "32 GPUs, 8 slots")}) == 3
    assert len({(line.line.color, line.line.dash) for line in lines}) == len(lines)


def test_what_all_choices_share_is_not_in_their_names():
    lines = size_curves([cell(32, slots, 16, 300.0, groups=8, routing="vllm") for slots in (8, 9)]).data[::2]
    assert [line.name for line in lines] == ["32 GPUs, 8 slots", "32 GPUs, 9 slots"]
