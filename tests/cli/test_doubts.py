"""What makes a recording doubtful is said in a line for each reason; nothing is said of those without one."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Loads, sample_loads
from equipoise.cli import app
from equipoise.cli.summaries.doubts import doubts

RNG = np.random.default_rng(0)
GOOD = RNG.multinomial(500_000, RNG.dirichlet(np.ones(16)), (3, 6))


def changed(place, factor):
    counts = GOOD.astype(float)
    counts[place] *= factor
    return Loads(counts.round())


@pytest.mark.parametrize("loads", [Loads(GOOD), sample_loads(), changed((slice(None), 2), 0), changed(1, 2)])
def test_nothing_is_said_without_a_reason(loads):
    assert doubts(loads) == []


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        (changed((slice(None), 0), 1.5), "Loads differ: layer 0 has 2.25e+06, the others 1.5e+06"),
        (changed((slice(None), [1, 4]), 0.9), "Loads differ: layers 1, 4 have 1.35e+06, the others 1.5e+06"),
        (changed(2, 0.001), "1 window with less than 1% of the usual load: 2."),
        (Loads(GOOD[:2], ("calm", "storm")), None),
        (Loads(np.concatenate([GOOD[:2], GOOD[:1] // 500]), ("a", "b", "c")), "less than 1% of the usual load: c."),
        (Loads(RNG.multinomial(90, np.full(64, 1 / 64), (1, 3))), "Too few selections to tell 64 experts apart in"),
        (Loads(np.zeros((2, 3, 4))), "Nothing but zeros: nothing was recorded."),
    ],
)
def test_every_reason_is_said_in_one_line(loads, said):
    found = doubts(loads)
    assert [line for line in found if said and said in line] == found[:1]
    assert len(found) == (said is not None)


def test_show_and_plan_say_it(tmp_path):
    np.savez(tmp_path / "few.npz", counts=RNG.multinomial(90, np.full(64, 1 / 64), 3))
    for command in (["show"], ["plan", "--gpus", "4"]):
        told = CliRunner().invoke(app, [command[0], str(tmp_path / "few.npz"), *command[1:]]).stdout
        assert "Too few selections to tell 64 experts apart" in told
    np.savez(tmp_path / "none.npz", counts=np.zeros((3, 64)))
    assert "nothing was recorded" in CliRunner().invoke(app, ["show", str(tmp_path / "none.npz")]).stdout
    refused = CliRunner().invoke(app, ["plan", str(tmp_path / "none.npz"), "--gpus", "4"])
    assert refused.exit_code != 0
    assert "the loads are zero throughout" in refused.stderr
