from __future__ import annotations

from itertools import count

import pytest

from equipoise.formats.files.refusals import listed, shown

NESTED = ["a"]
for _ in range(60):
    NESTED = [NESTED, NESTED]


class Endless:
    """What has a text that no memory holds."""

    def __repr__(self):
        raise AssertionError("asked for its text")

    __str__ = __repr__


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        (None, "None"),
        (True, "True"),
        (b"ab", "b'ab'"),
        ({"a": [1, (2,)]}, "{'a': [1, (2,)]}"),
        (Endless(), "a Endless"),
        ([Endless()], "[a Endless]"),
    ],
)
def test_plain_values_are_shown_as_typed_and_of_others_what_they_are(value, text):
    assert shown(value) == text


@pytest.mark.parametrize("value", [NESTED, tuple(NESTED), {"a": NESTED}, "a" * 10**6, list(range(10**6))])
def test_what_is_shown_is_short(value):
    assert len(shown(value)) < 300


def test_a_tensor_of_many_axes_is_not_printed():
    torch = pytest.importorskip("torch")
    assert shown(torch.ones(1).expand([7] * 20)) == "a Tensor"


def test_of_many_names_the_first_are_listed():
    assert listed(["a", 1, ("b",)]) == "a, 1, ('b',)"
    assert listed([]) == "(none)"
    assert listed(map(str, count())).startswith("0, 1, 2, ")
    assert len(listed([tuple(NESTED)])) <= 80
