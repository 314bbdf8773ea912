from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError
from equipoise.formats import read_loads

LAYERS = [[1, 2, 3], [4, 5, 6.5]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "loads.json"


@pytest.mark.parametrize(
    ("content", "windows"),
    [
        (LAYERS, 1),
        ([LAYERS, LAYERS], 2),
        ({"logical_count": LAYERS}, 1),
        ({"rank": 0, "logical_count": [LAYERS, LAYERS, LAYERS]}, 3),
        ({"load_history": [{"logical_expert_load": LAYERS}, {"time": 1, "logical_expert_load": LAYERS}]}, 2),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_three_forms_are_read(path, content, windows, encoding):
    path.write_text(json.dumps(content), encoding=encoding)
    assert read_loads(path).counts.tolist() == [LAYERS] * windows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1, 2],\n [3, oops]]", r"loads\.json: not JSON: line 2, column 6: found 'oops\]\]'; expected a value"),
        ("[[1, 2]", "not JSON: line 1, column 8: the text ends there, .* is the file whole"),
        ('{"model": 1, "counts": 2}', "holds the keys model, counts; expected loads as lists"),
        ("{}", r"holds the keys \(none\)"),
        ("7", "holds a single value"),
        ("null", "holds a single value"),
        ("[]", "holds an empty list; expected at least one expert"),
        ("[[1, 2], [3]]", "layer 1 has 1 expert; expected 2, as the first layer has"),
        ("[[[1, 2], [3, 4]], [[1, 2], [3, 4, 5]]]", "window 1, layer 1 has 3 experts; expected 2"),
        ("[[[1, 2], [3, 4]], [[1, 2]]]", "window 1 has 1 layer; expected 2, as the first window has"),
        ("[[1, 2], 3]", "layer 1 is 3; expected a list of experts"),
        ("[[1, 2], [[3], 4]]", r"layer 1, expert 0 is \[3\]; expected a number"),
        ('[[1, 2], [true, "x"]]', "layer 1, expert 0 is true; expected a number"),
        ('[[1, 2], [3, "x"]]', "layer 1, expert 1 is the text 'x'; expected a number"),
        ('{"load_history": 3}', "load_history is not a list"),
        (
            '{"load_history": [{"logical_expert_load": [[1]]}, {}]}',
            r"load_history\[1\] has no logical_expert_load",
        ),
        ('{"load_history": []}', "holds an empty list"),
        ("[[1, null]]", "layer 0, expert 1 is null; expected a number"),
        ("[[1, NaN]]", "expert 1 is nan"),
        ("[[1, 1e999]]", "expert 1 is inf"),
        ("[[1, -3]]", "expert 1 is -3"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 90 + "1" + "]" * 90, "more than 3 deep"),
        (
            "[[0, 1, 2, 3, 0], [3, 2, 1, 0, 1]]",
            "each number from 0 to 3 in every row: .* Say the latter with format='json'",
        ),
        ("[[0, 1, 2, 3, -1], [3, 2, 1, 0, 1]]", "from -1 on, .*: a map of experts or of slots, not loads"),
        ("[" + "9" * 5000 + "]", "thousands of digits"),
        ("[" + "9" * 400 + "]", "more than 64 bits"),
    ],
)
def test_other_content_is_refused(path, text, message):
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_loads(path)


def test_bytes_that_are_no_text_are_refused(path):
    path.write_bytes(b"[[1, 2]]\xff")
    with pytest.raises(InputError, match="byte 8 is not UTF-8"):
        read_loads(path)


numbers = st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=3)
keys = st.sampled_from(["logical_count", "load_history", "logical_expert_load"]) | st.text(max_size=3)
hostile = st.recursive(
    numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(content=hostile)
def test_any_json_gives_loads_or_an_input_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "hostile.json"
    path.write_text(json.dumps(content))
    with suppress(InputError):
        assert read_loads(path).counts.min() >= 0


@given(content=st.binary(max_size=40) | st.text('[]{},:"0123456789.eE-+ntfulrasi\\', max_size=40).map(str.encode))
def test_any_bytes_give_loads_or_an_input_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "hostile.json"
    path.write_bytes(content)
    with suppress(InputError):
        assert read_loads(path).counts.min() >= 0
