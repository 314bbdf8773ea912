from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import read_loads, record
from equipoise.cli import app

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.runtime.models import EXPERTS, SIZES, small_model  # noqa: E402

PROMPTS = ["the cat sat on the mat", "a dog", "", "the dog sat on the cat on the mat"]
WORDS = sorted({word for prompt in PROMPTS for word in prompt.split()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Save a model and a tokenizer that knows the words of the prompts."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(["?", *WORDS])}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?").save_pretrained(folder)
    small_model("DeepseekV3").save_pretrained(folder)
    return folder


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS))
    return path


def equipoise(*arguments):
    return CliRunner().invoke(app, ["record", *map(str, arguments)])


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_the_loads_are_those_of_the_prompts_one_by_one(folder, prompts, tmp_path, batch):
    path = tmp_path / "loads.npz"
    result = equipoise(folder, "--prompts", prompts, "-o", path, "--window-tokens", 10, "--batch", batch, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    with torch.no_grad(), record(small_model("DeepseekV3"), window_tokens=10) as recording:
        for prompt in filter(None, PROMPTS):
            small_model("DeepseekV3")(torch.tensor([[1 + WORDS.index(word) for word in prompt.split()]]))
    np.testing.assert_array_equal(read_loads(path).counts, recording.loads().counts)
    assert json.loads(result.stdout) == {
        "model": str(folder),
        "prompts": 3,
        "tokens": 17,
        "windows": 2,
        "layers": 2,
        "experts": EXPERTS,
        "decoder_layers": [1, 2],
        "output": str(path),
    }


def test_people_read_what_was_recorded(folder, prompts, tmp_path):
    path = tmp_path / "loads.csv"
    result = equipoise(
        folder, "--prompts", prompts, "-o", path, "--max-tokens", 4, "--device", "cpu", "--dtype", "float32"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    words = " ".join(result.stdout.split())
    assert (
        f"recorded 10 tokens of 3 prompts loads 1 window x 2 layers x {EXPERTS} experts decoder layers 1 to 2" in words
    )
    assert words.endswith(f"{path}: loads, of these layers")
    assert read_loads(path).counts.sum() == 10 * 2 * SIZES["num_experts_per_tok"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing", "--prompts", "prompts.txt", "-o", "loads.npz"], "missing cannot be loaded: "),
        (["missing", "--prompts", "none.txt", "-o", "loads.npz"], "none.txt: No such file or directory"),
        (["missing", "--prompts", "empty.txt", "-o", "loads.npz"], "empty.txt: has no line with text; expected one at"),
        (["missing", "--prompts", "bytes.txt", "-o", "loads.npz"], "bytes.txt: byte 0 is not UTF-8 text"),
        (
            ["missing", "--prompts", "prompts.txt", "-o", "loads.json"],
            "loads.json: loads are not written to such",
        ),
        (["missing", "--prompts", "prompts.txt", "-o", "no/loads.npz"], "no/loads.npz: there is no folder "),
    ],
)
def test_bad_input_ends_with_1_and_one_line_and_writes_nothing(prompts, monkeypatch, arguments, message):
    monkeypatch.chdir(prompts.parent)
    (prompts.parent / "empty.txt").write_text(" \n\n")
    (prompts.parent / "bytes.txt").write_bytes(b"\xff")
    before = sorted(prompts.parent.iterdir())
    result = equipoise(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert sorted(prompts.parent.iterdir()) == before


def test_a_device_that_is_not_there_is_named_as_it_was_typed(folder, prompts, tmp_path):
    result = equipoise(folder, "--prompts", prompts, "-o", tmp_path / "loads.npz", "--device", "abacus")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: --device is 'abacus': ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model", "--prompts", "same.npz", "-o", "same.npz"], "the loads would replace the prompts"),
        (["model", "-o", "loads.npz"], "--prompts"),
        (["model", "--prompts", "a", "-o", "b.npz", "--batch", "0"], "--batch"),
        (["model", "--prompts", "a", "-o", "b.npz", "--dtype", "fp4"], "--dtype"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, message):
    result = equipoise(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_without_a_package_one_line_says_how_to_get_it(prompts, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    result = equipoise("model", "--prompts", prompts, "-o", tmp_path / "loads.npz")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: recording needs torch and transformers, which are not both installed; pip install 'equipoise[record]'\n"
    )
