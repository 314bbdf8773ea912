from __future__ import annotations

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads
from tests.formats.samples import COUNTS, counters

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

TITAN = "layers.{}.moe.tokens_per_expert_E"
MEGATRON = "module.decoder.layers.{}.mlp.router.local_tokens_per_expert"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters.pt"


@pytest.mark.parametrize("name", [MEGATRON, TITAN, f"_orig_mod.{TITAN}"])
@pytest.mark.parametrize("save", [torch.save, safetensors.save_file])
def test_a_dict_of_counters_is_one_window_with_its_layers_in_order(path, name, save):
    found = dict(reversed(counters(COUNTS[0], name).items())) | {"layers.9.moe.router.gate.weight": torch.ones(2, 2)}
    save(found, path)
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS[:1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"layers.0.weight": torch.ones(2)},
            r"holds layers\.0\.weight; expected counters such as layers\.3\.moe",
        ),
        ({"tokens_per_expert": torch.ones(2)}, "holds tokens_per_expert; expected counters such as"),
        ([], r"holds \[\]; expected a dict of tensors"),
        ([counters(COUNTS[0]), 7], "expected a dict of tensors such as layers.3.moe.tokens_per_expert_E, or a list"),
        (counters([[1, 2], [3, 4, 5]]), "window 0, layer 10 has 3 experts; expected 2"),
        ([counters([[1, 2]]), counters([[1, 2, 3]])], "window 1, layer 9 has 3 experts; expected 2"),
        ([counters([[1, 2]]), counters([[1, 2]] * 2)], "window 1 differs from window 0 in layer 10; expected the same"),
        (
            counters([[1, 2]]) | counters([[1, 2]], MEGATRON),
            r"layers\.9\.moe\.tokens_per_expert_E and module\.decoder.* are both of layer 9; expected one of them",
        ),
        ({"layers.0.moe.tokens_per_expert_E": torch.ones(2, 2)}, r"tokens_per_expert_E is float64 \[2, 2\]; expected"),
        (
            {"layers.0.moe.tokens_per_expert_E": torch.ones(2) > 0},
            r"tokens_per_expert_E is bool \[2\]; expected",
        ),
        ({"layers.0.moe.tokens_per_expert_E": torch.ones(0)}, r"tokens_per_expert_E is float64 \[0\]; expected counts"),
        ({"layers.0.moe.tokens_per_expert_E": [1, 2]}, r"tokens_per_expert_E is \[1, 2\]; expected a tensor"),
        ({"layers.0.moe.tokens_per_expert_E": torch.tensor([1, -2])}, "window 0, layer 0, expert 1 is -2"),
    ],
)
def test_what_is_no_such_dict_is_refused(path, content, message):
    torch.save(content, path)
    with pytest.raises(InputError, match=f"^{path}: .*{message}"):
        read_loads(path, "tokens-per-expert")


def test_safetensors_without_counters_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.save_file({"layers.0.weight": torch.ones(2)}, path)
    with pytest.raises(InputError, match=r"holds layers\.0\.weight; expected a single tensor named counts"):
        read_loads(path)
