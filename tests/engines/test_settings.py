"""Settings are read alike from variables and from a file, and refused by the name they were given."""

from __future__ import annotations

import pytest

from equipoise import ExpertCost, InputError, read_cost, write_cost
from equipoise.engines.settings import Settings, read_settings
from equipoise.timing.known_models import MODELS

ALL = Settings(
    max_moves=0.05,
    min_gain=0.01,
    locality="soft",
    off_node=0.08,
    routing="filled",
    floor=99,
    forecast="last",
    effort="fast",
    min_replicas=2,
    across="nodes",
    log_json=True,
)


def test_without_any_variable_the_defaults_hold():
    assert read_settings({"PATH": "/bin", "VLLM_PLUGINS": "x"}) == Settings()


OF_KUBERNETES = [
    "EQUIPOISE_SERVICE_HOST",
    "EQUIPOISE_SERVICE_PORT",
    "EQUIPOISE_SERVICE_PORT_HTTP",
    "EQUIPOISE_PORT",
    "EQUIPOISE_PORT_8080_TCP",
    "EQUIPOISE_PORT_8080_TCP_PROTO",
    "EQUIPOISE_ROUTER_SERVICE_HOST",
    "EQUIPOISE_ROUTER_PORT_80_TCP_ADDR",
]
"""What it sets for Services called equipoise and equipoise-router."""


@pytest.mark.parametrize("name", [*OF_KUBERNETES, "EQUIPOISE_CACHE_DIR"])
def test_variables_that_are_others_are_passed_over(name, tmp_path):
    path = tmp_path / "equipoise.toml"
    path.write_text("max_moves = 500")
    assert read_settings({name: "tcp://10.0.0.1:8080"}) == Settings()
    assert read_settings({name: "10.0.0.1", "EQUIPOISE_SETTINGS": str(path)}) == Settings(max_moves=500)


def test_variables_name_every_setting():
    found = read_settings(
        {
            "EQUIPOISE_MAX_MOVES": "5%",
            "EQUIPOISE_MIN_GAIN": "1%",
            "EQUIPOISE_LOCALITY": "soft",
            "EQUIPOISE_OFF_NODE": "0.08",
            "EQUIPOISE_ROUTING": "filled",
            "EQUIPOISE_FLOOR": "99",
            "EQUIPOISE_FORECAST": "last",
            "EQUIPOISE_EFFORT": "fast",
            "EQUIPOISE_MIN_REPLICAS": "2",
            "EQUIPOISE_ACROSS": "nodes",
            "EQUIPOISE_LOG_JSON": "1",
        }
    )
    assert found == ALL


def test_a_file_names_them_too(tmp_path):
    path = tmp_path / "equipoise.toml"
    plan, route = 'max_moves = "5%"\nmin_gain = 0.01\n', 'routing = "filled"\nfloor = 99\nforecast = "last"\n'
    plan += 'effort = "fast"\nmin_replicas = 2\nacross = "nodes"\nlog_json = true\n'
    path.write_text(plan + 'locality = "soft"\noff_node = "8%"\n' + route)
    assert read_settings({"EQUIPOISE_SETTINGS": str(path)}) == ALL


def test_moves_are_a_number_or_a_share(tmp_path):
    path = tmp_path / "equipoise.toml"
    path.write_text("max_moves = 500")
    assert read_settings({"EQUIPOISE_SETTINGS": str(path)}).max_moves == 500
    assert read_settings({"EQUIPOISE_MAX_MOVES": "500"}).max_moves == 500


def test_the_floor_may_come_from_a_cost(tmp_path):
    path = str(tmp_path / "cost.json")
    write_cost(ExpertCost.roofline("H100", MODELS["deepseek-v3"], "fp8"), path)
    assert read_settings({"EQUIPOISE_FLOOR": path}).floor == read_cost(path).floor - 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"EQUIPOISE_MAX_MOVE": "5%"}, "EQUIPOISE_MAX_MOVE is no setting; did you mean EQUIPOISE_MAX_MOVES?"),
        ({"EQUIPOISE_X": "5%"}, "EQUIPOISE_X is no setting; expected EQUIPOISE_MAX_MOVES, EQUIPOISE_MIN_GAIN, "),
        ({"EQUIPOISE_MIN_REPLICAS": "0"}, "EQUIPOISE_MIN_REPLICAS: it is 0; expected a whole number of at least 1"),
        ({"EQUIPOISE_LOG_JSON": "maybe"}, "EQUIPOISE_LOG_JSON: it is 'maybe'; expected '1', 'true', '0', 'false'"),
        ({"EQUIPOISE_EFFORT": "most"}, "EQUIPOISE_EFFORT: it is 'most'; expected 'fast', 'default', 'thorough'"),
        ({"EQUIPOISE_MAX_MOVES": "few"}, "EQUIPOISE_MAX_MOVES: 'few' is no number of moves"),
        ({"EQUIPOISE_MAX_MOVES": "1.5"}, "EQUIPOISE_MAX_MOVES: '1.5' is no share"),
        ({"EQUIPOISE_MAX_MOVES": "-1"}, "EQUIPOISE_MAX_MOVES: '-1' is no number of moves"),
        ({"EQUIPOISE_MIN_GAIN": "101%"}, "EQUIPOISE_MIN_GAIN: '101%' is no share"),
        ({"EQUIPOISE_OFF_NODE": ""}, "EQUIPOISE_OFF_NODE: '' is no share"),
        ({"EQUIPOISE_LOCALITY": "loose"}, "EQUIPOISE_LOCALITY: it is 'loose'; expected 'strict', 'soft'"),
        ({"EQUIPOISE_ROUTING": "full"}, "EQUIPOISE_ROUTING: it is 'full'; expected 'even', 'filled'"),
        ({"EQUIPOISE_FLOOR": "-1"}, "EQUIPOISE_FLOOR: '-1' is neither a number of picks nor a cost file"),
        ({"EQUIPOISE_FLOOR": "/nowhere/cost.json"}, "EQUIPOISE_FLOOR: /nowhere/cost.json: No such file"),
        (
            {"EQUIPOISE_LOCALITY": "none", "EQUIPOISE_OFF_NODE": "5%"},
            "EQUIPOISE_OFF_NODE is 0.05 but EQUIPOISE_LOCALITY is 'none'",
        ),
        ({"EQUIPOISE_SETTINGS": "x.toml", "EQUIPOISE_MIN_GAIN": "1%"}, "but EQUIPOISE_MIN_GAIN is set too"),
        ({"EQUIPOISE_SETTINGS": "/nowhere/x.toml"}, "/nowhere/x.toml: No such file"),
    ],
)
def test_bad_settings_are_refused_by_name(variables, message):
    with pytest.raises(InputError) as refused:
        read_settings(variables)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"max_moves 5", "not TOML"),
        (b"\xff", "not TOML"),
        (b"moves = 5", "moves is no setting; did you mean max_moves?"),
        (b"max_moves = true", "max_moves: 'True' is no number of moves"),
        (b"[max_moves]\nx = 1", "max_moves: .* is no number of moves"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, text, message):
    path = tmp_path / "equipoise.toml"
    path.write_bytes(text)
    with pytest.raises(InputError, match=rf"equipoise\.toml: {message}"):
        read_settings({"EQUIPOISE_SETTINGS": str(path)})


def test_the_digest_tells_settings_apart():
    assert Settings(max_moves=0.05).digest == Settings(max_moves=0.05).digest
    assert len({Settings().digest, Settings(max_moves=0.05).digest, Settings(min_gain=0.05).digest}) == 3


def test_the_digest_tells_versions_apart(monkeypatch):
    before = Settings().digest
    monkeypatch.setattr("equipoise.engines.settings.version", lambda _: "another")
    assert Settings().digest != before
