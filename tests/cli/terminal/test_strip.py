"""Strips of marks: what each mark stands for, how they fit, and where they have colours."""

from __future__ import annotations

import io
import sys

import pytest

from equipoise.cli.terminal.strip import MARKS, print_strips


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)


def test_marks_rise_from_the_low_to_the_largest_value_of_all_strips(capsys):
    print_strips({"before": [1.0, 1.5, 3.0], "after": [1.0, 1.0, 1.0]}, low=1.0)
    before, after, legend = capsys.readouterr().out.splitlines()
    assert before.split() == ["before", MARKS[0] + MARKS[2] + MARKS[7]]
    assert after.split() == ["after", MARKS[0] * 3]
    assert legend.split() == ["▁", "1.00", "to", "█", "3.00,", "each", "mark", "a", "layer"]


@pytest.mark.parametrize(("layers", "each"), [(58, 1), (73, 1), (74, 2), (94, 2), (1000, 14)])
def test_many_layers_share_marks_that_fit_and_hide_no_peak(capsys, layers, each):
    values = [1.0] * layers
    values[layers // 2] = 2.0
    print_strips({"skew": values}, low=1.0)
    strip, legend = capsys.readouterr().out.splitlines()
    assert max(len(strip), len(legend)) <= 80
    marks = strip.split()[1]
    assert len(marks) == -(-layers // each)
    assert (marks[layers // 2 // each], marks.count(MARKS[7])) == (MARKS[7], 1)
    assert ("each mark a layer" in legend) == (each == 1)


def test_nothing_above_the_low_is_all_low(capsys):
    print_strips({"PAR": [1.0, 1.0]}, low=1.0)
    assert capsys.readouterr().out.split()[1] == MARKS[0] * 2


def test_terminals_get_colours_and_nobody_who_does_not_want_them(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    print_strips({"PAR": [1.0, 2.0]}, low=1.0)
    coloured = capsys.readouterr().out
    assert "\x1b[38;2;0;114;178m▁" in coloured
    assert "\x1b[38;2;213;94;0m█" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    print_strips({"PAR": [1.0, 2.0]}, low=1.0)
    assert "\x1b" not in capsys.readouterr().out


def test_where_letters_are_few_marks_are_digits(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    print_strips({"PAR": [1.0, 2.0]}, low=1.0)
    sys.stdout.flush()
    assert written.getvalue().split()[1] == b"18"
