from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError, Model
from equipoise.formats import read_loads
from tests.formats.samples import in_base64

MODEL = Model(experts=9, top_k=2, hidden_size=1, expert_size=1, layers=3, first_moe_layer=1)
RNG = np.random.default_rng(0)


def response(tokens, dtype=np.uint8):
    """Return picks ``[tokens, 3 layers, 2]`` of experts 0 to 6; the first layer has none."""
    picks = RNG.integers(0, 7, (tokens, 3, 2)).astype(dtype)
    picks[:, 0] = 0
    return picks


def counted(picks, experts=7):
    """Return loads ``[layers, experts]``, pick by pick."""
    loads = np.zeros((picks.shape[1], experts))
    for row in picks:
        for layer in range(1, len(row)):
            for expert in row[layer]:
                loads[layer, expert] += 1
    return loads


@pytest.fixture
def path(tmp_path):
    return tmp_path / "responses.json"


def completion(*picks):
    """Return what vLLM's server returns, with so many choices."""
    choices = [{"index": n, "text": "a b", "routed_experts": in_base64(one)} for n, one in enumerate(picks)]
    return {"id": "cmpl-1", "object": "text_completion", "choices": choices, "usage": {"total_tokens": 3}}


def generated(picks):
    """Return what SGLang's ``/generate`` returns."""
    return {
        "text": "a b",
        "output_ids": [1, 2],
        "meta_info": {"id": "x", "routed_experts": in_base64(picks, bare=True)},
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_vllms_choices_are_added_up_and_the_highest_expert_is_the_last(path, dtype):
    first, second = response(40, dtype), response(30, dtype)
    path.write_text(json.dumps(completion(first, second), indent=1))
    np.testing.assert_array_equal(read_loads(path).counts, [counted(first) + counted(second)])
    np.testing.assert_array_equal(read_loads(path, model=MODEL).counts, [counted(first, 9) + counted(second, 9)])


@pytest.mark.parametrize("wrapped", [generated, lambda picks: {"choices": [], "sglext": generated(picks)["meta_info"]}])
def test_sglangs_bare_numbers_are_read_by_the_model(path, wrapped):
    picks = response(50, np.int32)
    path.write_text(json.dumps([wrapped(picks), wrapped(picks)]))
    np.testing.assert_array_equal(read_loads(path, model=MODEL).counts, [2 * counted(picks, 9)])
    with pytest.raises(InputError, match=r"bare numbers, as SGLang returns them, .*; name the model"):
        read_loads(path)


def test_windows_have_4096_tokens_or_more_and_lines_stay_whole(tmp_path):
    sizes = [3000, 1000, 96, 5000, 10]
    responses = [response(tokens) for tokens in sizes]
    path = tmp_path / "responses.jsonl"
    path.write_text("\n".join(json.dumps(completion(picks)) for picks in responses) + "\n\n")
    loads = [counted(picks) for picks in responses]
    np.testing.assert_array_equal(read_loads(path).counts, [sum(loads[:3]), loads[3], loads[4]])


def test_a_pick_below_zero_is_none_and_choices_without_picks_are_left_out(path):
    picks = np.array([[[1, -1]], [[-1, -1]]], np.int32)
    path.write_text(json.dumps({"choices": [{"routed_experts": None}, {"routed_experts": in_base64(picks)}]}))
    assert read_loads(path).counts.tolist() == [[[0, 1]]]


def test_a_response_that_begins_with_a_long_text_is_known_all_the_same(path):
    path.write_text(json.dumps({"text": "x" * 10_000, **generated(response(2))["meta_info"]}))
    assert read_loads(path, model=MODEL).experts == 9


@pytest.mark.parametrize(
    ("content", "model", "message"),
    [
        (
            {"choices": [{"text": "a"}]},
            None,
            "no response has routed_experts; expected it as servers",
        ),
        ({"routed_experts": [1, 2]}, None, r"routed_experts is \[1, 2\]; expected base64"),
        ({"routed_experts": "k05VTVBZ!"}, None, "routed_experts 0 is not base64"),
        ({"routed_experts": "k05VTVBZ"}, None, "not a readable NumPy array"),
        ({"routed_experts": in_base64(np.array([[1]]))}, None, r"0 is int64 \[1, 1\]; expected whole numbers \[tokens"),
        ({"routed_experts": in_base64(np.ones((2, 0, 2), int))}, None, r"is int64 \[2, 0, 2\]; expected whole numbers"),
        ({"routed_experts": in_base64(np.ones((2, 3, 2)))}, None, r"is float64 \[2, 3, 2\]; expected whole numbers"),
        (
            {"routed_experts": in_base64(np.array([[[{}]]], object))},
            None,
            "holds Python objects",
        ),
        (
            {"routed_experts": in_base64(np.full((1, 1, 1), 2**40))},
            None,
            r"stands for 1099511627777 numbers in",
        ),
        (completion(response(2), response(2)[:, :2]), None, "one response has picks of 3 layers, others do not"),
        (completion(response(2)[:, :2]), MODEL, "routed_experts 0 has 2 layers; expected 3, as the model has"),
        (
            completion(response(9) + np.uint8(9)),
            MODEL,
            r"has picks of expert \d+; expected experts below 9",
        ),
        ({"routed_experts": "AAAA"}, MODEL, r"has 3 bytes; expected int32 \[tokens, 3, 2\], as the model has"),
    ],
)
def test_other_content_is_refused(path, content, model, message):
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"^{path}: .*{message}"):
        read_loads(path, "routed-experts", model)


def test_a_broken_line_is_named(path):
    path.write_text(json.dumps(completion(response(2))) + "\n{oops")
    with pytest.raises(InputError, match="not JSON: line 2, column 2"):
        read_loads(path)


leaves = (
    st.none()
    | st.integers()
    | st.text(max_size=9)
    | st.binary(max_size=9).map(lambda b: in_base64(np.frombuffer(b, "u1")))
)
keys = st.sampled_from(["routed_experts", "choices", "meta_info"])


@given(
    documents=st.lists(
        st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)),
        max_size=3,
    )
)
def test_any_json_gives_loads_or_an_input_error(tmp_path_factory, documents):
    path = tmp_path_factory.getbasetemp() / "hostile.jsonl"
    path.write_text("\n".join(map(json.dumps, documents)))
    with suppress(InputError):
        assert read_loads(path, "routed-experts", MODEL).counts.min() >= 0


def test_vllm_and_sglang_encode_picks_as_these_tests_do(engines):
    source = (engines / "vllm" / "utils" / "serial_utils.py").read_text(encoding="utf-8")
    assert "np.save(buffer, array, allow_pickle=False)" in source
    detokenizer = (engines / "sglang" / "srt" / "managers" / "detokenizer_manager.py").read_text(encoding="utf-8")
    assert "b64encode(item.numpy().tobytes())" in detokenizer
