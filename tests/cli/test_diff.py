from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Cluster, Migration, Placement, write_placement
from equipoise.cli import app

OLD = Placement([[0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 2, 3, 0, 1]], Cluster(gpus=4, nodes=2, slots_per_gpu=2), 4)
NEW = Placement([[1, 0, 2, 3, 3, 1, 2, 0], [2, 3, 0, 1, 2, 3, 0, 1]], OLD.cluster, experts=4)


def diff(*arguments):
    return CliRunner().invoke(app, ["diff", *(str(argument) for argument in arguments)])


@pytest.fixture
def saved(tmp_path):
    def save(placement, name):
        write_placement(placement, tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def old(saved):
    return saved(OLD, "old.json")


@pytest.fixture
def new(saved):
    return saved(NEW, "new.json")


@pytest.fixture
def every_link(saved):
    """Two placements of one expert per GPU, each GPU a node: every expert is where no other was."""
    cluster, experts = Cluster(gpus=20, nodes=20), np.arange(20)
    return [saved(Placement([np.roll(experts, shift)], cluster, 20), f"{shift}.json") for shift in (0, 1)]


def test_the_figures_are_those_of_the_migration(old, new):
    result = diff(old, new, "--expert-bytes", "44MB", "--json")
    assert result.exit_code == 0
    figures, migration = json.loads(result.stdout), Migration(OLD, NEW)
    assert (figures["old"]["file"], figures["new"]["file"]) == (str(old), str(new))
    assert figures["old"]["cluster"]["gpus"] == figures["new"]["cluster"]["gpus"] == 4
    assert (figures["layers"], figures["experts"], figures["expert_bytes"]) == (2, 4, 44_000_000)
    assert figures["by_layer"] == {
        "moves": migration.moves.tolist(),
        "local": migration.local.tolist(),
        "from_disk": [0, 0],
        "batches": migration.batches.tolist(),
    }
    assert figures["moves"] == migration.moves.sum() == figures["moved_share"] * NEW.phy2log.size
    assert (figures["batches"], figures["staging"]) == (migration.batches.max(), migration.staging)
    assert {kind: size["bytes"] for kind, size in figures["traffic"].items()} == vars(migration.bytes(44_000_000))
    assert all(size["bytes"] == size["experts"] * 44_000_000 for size in figures["traffic"].values())
    assert figures["most_moved_layers"] == [1, 0]
    by_link = np.zeros((2, 2), int)
    for link in figures["by_link"]:
        by_link[link["from"], link["to"]] = link["experts"]
        assert link["bytes"] == link["experts"] * 44_000_000 > 0
    np.testing.assert_array_equal(by_link, migration.by_link())


def test_the_table_says_the_same_as_json(old, new):
    arguments = (old, new, "--expert-bytes", "44MB")
    result, figures = diff(*arguments), json.loads(diff(*arguments, "--json").stdout)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"old placement {old}\nnew placement {new}\n")
    assert "4 GPUs on 2 nodes, 2 slots on each GPU\n" in result.stdout
    assert "2 layers x 4 experts" in result.stdout
    assert f"{figures['moves']}, {figures['moved_share']:.1%} of the slots" in result.stdout
    assert f"{figures['batches']} at most in a layer" in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["local", "copies", str(figures["traffic"]["local"]["experts"])] in lines
    within = figures["traffic"]["within_nodes"]
    assert ["within", "nodes", str(within["experts"]), f"{within['bytes'] / 1e6:.1f}", "MB"] in lines
    assert ["from", "disk", "0", "0", "bytes"] in lines
    for layer in figures["most_moved_layers"]:
        moves, batches = figures["by_layer"]["moves"][layer], figures["by_layer"]["batches"][layer]
        assert [str(layer), str(moves), str(batches)] in lines
    for link in figures["by_link"]:
        ends = f"node {link['from']} -> node {link['to']}"
        name = f"within node {link['to']}" if link["from"] == link["to"] else ends
        assert [*name.split(), str(link["experts"]), f"{link['bytes'] / 1e6:.1f}", "MB"] in lines
    assert max(map(len, result.stdout.splitlines()[2:])) <= 80  # all but the names of the files
    assert "\x1b" not in result.stdout


def test_without_the_bytes_of_an_expert_only_experts_are_counted(old, new):
    figures, table = json.loads(diff(old, new, "--json").stdout), diff(old, new).stdout
    assert figures["expert_bytes"] is None
    assert {size["bytes"] for size in (*figures["traffic"].values(), *figures["by_link"])} == {None}
    assert ["moves", "experts"] in [line.split() for line in table.splitlines()]
    assert "bytes" not in table.split("\n\n", maxsplit=1)[1]


def test_the_format_of_the_placements_may_be_said(old, new):
    assert diff(old, new, "--from", "equipoise", "--json").stdout == diff(old, new, "--json").stdout
    result = diff(old, new, "--from", "vllm-ascend")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {old}: the file: layer_list is None; expected a list")


def test_shares_are_of_the_slots_of_live_gpus(saved):
    old = saved(Placement([[0, 1, 2]], Cluster(gpus=3), 3), "old.json")
    new = saved(Placement([[0, 1, -1, -1, 2, 0]], Cluster(gpus=3, slots_per_gpu=2, dead=[1]), 3), "new.json")
    figures = json.loads(diff(old, new, "--json").stdout)
    assert (figures["moves"], figures["moved_share"]) == (2, 2 / 4)
    assert "2, 50.0% of the slots" in diff(old, new).stdout


def test_nothing_moves_between_equal_placements(old):
    result = diff(old, old)
    assert result.exit_code == 0
    assert result.stdout.endswith("\nNothing moves: every GPU holds the experts that it needs already.\n")
    assert "links" not in result.stdout
    assert json.loads(diff(old, old, "--json").stdout)["moves"] == 0


def test_experts_that_stay_on_their_gpu_do_not_move(old, saved):
    turned = saved(Placement(OLD.phy2log.reshape(2, 4, 2)[:, :, ::-1].reshape(2, 8), OLD.cluster, 4), "turned.json")
    table = diff(old, turned).stdout
    assert "Nothing moves" in table
    assert ["local", "copies", "16"] in [line.split() for line in table.splitlines()]


def test_what_was_on_dead_gpus_comes_from_disk(saved):
    old = saved(Placement([[0, 1, 2]], Cluster(gpus=3), 3), "old.json")
    new = saved(Placement([[0, 1, -1, -1, 2, 0]], Cluster(gpus=3, slots_per_gpu=2, dead=[1]), 3), "new.json")
    table = diff(old, new).stdout
    assert "3 GPUs on 1 node, 2 slots on each GPU; 1 GPU dead" in table
    assert ["from", "disk", "1"] in [line.split() for line in table.splitlines()]
    assert json.loads(diff(old, new, "--json").stdout)["by_layer"]["from_disk"] == [1]


def test_where_all_comes_from_disk_there_are_no_links(saved):
    old = saved(Placement([[0, 1]], Cluster(gpus=2), 2), "old.json")
    new = saved(Placement([[0, 1, -1, -1]], Cluster(gpus=2, slots_per_gpu=2, dead=[1]), 2), "new.json")
    result = diff(old, new)
    assert result.exit_code == 0
    assert "links" not in result.stdout


def test_of_many_links_the_largest_are_printed_and_the_rest_counted(every_link):
    table = diff(*every_link).stdout
    assert table.count("->") == 16
    assert table.endswith("\n... and 4 more; --json lists them all\n")
    assert len(json.loads(diff(*every_link, "--json").stdout)["by_link"]) == 20


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("1", 1),
        ("44MB", 44_000_000),
        ("44 mb", 44_000_000),
        ("42MiB", 42 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("0.1kB", 100),
        ("1.1MiB", 1_153_434),
    ],
)
def test_sizes_have_units(old, new, size, expected):
    assert json.loads(diff(old, new, "--expert-bytes", size, "--json").stdout)["expert_bytes"] == expected


@pytest.mark.parametrize("size", ["0", "0.4", "-44MB", "44XB", "44M", "MB", "1e6", "nan", "", "9" * 5000])
def test_what_is_no_size_ends_with_2_and_how_to_write_one(old, new, size):
    result = diff(old, new, f"--expert-bytes={size}")
    assert (result.exit_code, result.stdout) == (2, "")
    message = " ".join(result.stderr.replace("│", "").split())
    assert "is no size; expected bytes, or a number with a unit: 44000000, 44MB, 42MiB or 1.5GB" in message


def test_placements_of_different_models_end_with_1_and_one_line(old, saved):
    other = saved(Placement(NEW.phy2log[:1], NEW.cluster, experts=4), "other.json")
    result = diff(old, other)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: the placement before has 2 layers of 4 experts, the one after 1 of 4; expected the same\n"
    )


def test_a_file_that_is_no_placement_ends_with_1_and_its_name(old, tmp_path):
    path = tmp_path / "loads.json"
    path.write_text("[[1, 2]]")
    result = diff(old, path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {path}: not a placement")


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (["csv"], "csv is a format of loads, and none are read here"),
        (["sglang", "equipoise"], "sglang and equipoise are"),
    ],
)
def test_a_format_that_no_file_can_have_is_refused(old, new, formats, message):
    asked = [text for name in formats for text in ("--from", name)]
    result = CliRunner().invoke(app, ["diff", str(old), str(new), *asked], env={"COLUMNS": "200"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
