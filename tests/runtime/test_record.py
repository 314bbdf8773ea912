from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from equipoise import (  # noqa: E402
    Batch,
    Cluster,
    ExpertCost,
    InputError,
    Never,
    plan,
    record,
    setups_of,
    simulate,
    size,
)
from equipoise.runtime.mixtures import AT_THE_ROUTER, REFUSED, SHARED  # noqa: E402
from tests.runtime.models import EXPERTS, FAMILIES, FIRST_MOE_LAYER, SIZES, batch, mask_of, small_model  # noqa: E402

TOP_K = SIZES["num_experts_per_tok"]


def routers(model):
    """Return the modules that choose experts, by the decoder layer."""
    return {
        int(name.split("layers.")[1].split(".")[0]): module
        for name, module in model.named_modules()
        if type(module).__name__.lower().endswith("topkrouter")
    }


def chosen(model, *calls, **named):
    """Return the experts that every router returns for all calls, ``[tokens, top_k]`` by the decoder layer."""
    found = {number: [] for number in routers(model)}

    def note(number):
        return lambda module, args, returned: found[number].append(
            next(part for part in returned if not part.is_floating_point())
        )

    handles = [module.register_forward_hook(note(number)) for number, module in routers(model).items()]
    with torch.no_grad():
        for call in calls:
            model(call, **named)
    for handle in handles:
        handle.remove()
    return {number: torch.cat(parts).numpy() for number, parts in found.items()}


def counted(picks):
    return np.stack([np.bincount(layer.ravel(), minlength=EXPERTS) for layer in picks.values()])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_recorded_is_what_the_routers_choose_and_outputs_stay_the_same(family):
    model, tokens = small_model(family), batch()
    with torch.no_grad():
        before = model(tokens).logits
        with record(model) as recording:
            during = model(tokens).logits
    assert torch.equal(before, during)
    layers = tuple(range(FIRST_MOE_LAYER.get(family, 0), SIZES["num_hidden_layers"]))
    assert (recording.decoder_layers, recording.experts, recording.tokens) == (layers, EXPERTS, tokens.numel())
    np.testing.assert_array_equal(recording.loads().counts, counted(chosen(model, tokens))[None])
    assert recording.loads().decoder_layers == recording.decoder_layers


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("family", ["Qwen3Moe", "DeepseekV3"])
def test_padding_is_left_out(family, left):
    model, tokens, mask = small_model(family), batch(), mask_of([20, 7, 1], 20, left)
    with torch.no_grad(), record(model) as recording:
        model(tokens, attention_mask=mask)
    real = mask.flatten().bool().numpy()
    picks = chosen(model, tokens, attention_mask=mask)
    np.testing.assert_array_equal(recording.loads().counts[0], counted({n: rows[real] for n, rows in picks.items()}))
    assert recording.tokens == 28


@settings(max_examples=8)
@given(
    lengths=st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2).filter(any), min_size=1, max_size=4),
    window=st.integers(1, 12),
)
def test_windows_have_so_many_tokens_whatever_the_batches(lengths, window):
    model = small_model("Mixtral")
    order = {number: [] for number in routers(model)}
    with torch.no_grad(), record(model, window_tokens=window) as recording:
        for seed, pair in enumerate(lengths):
            tokens, mask = batch(2, 9, seed), mask_of(pair, 9)
            model(tokens, attention_mask=mask)
    for seed, pair in enumerate(lengths):
        tokens, mask = batch(2, 9, seed), mask_of(pair, 9)
        for number, rows in chosen(model, tokens, attention_mask=mask).items():
            order[number].append(rows[mask.flatten().bool().numpy()])
    rows = {number: np.concatenate(parts) for number, parts in order.items()}
    total = sum(map(sum, lengths))
    expected = [
        counted({n: part[start : start + window] for n, part in rows.items()}) for start in range(0, total, window)
    ]
    np.testing.assert_array_equal(recording.loads().counts, expected)


def test_generation_with_a_cache_is_recorded_token_by_token():
    model, tokens, mask = small_model("Qwen3Moe"), batch(2, 6), mask_of([6, 4], 6, left=True)
    with record(model) as recording:
        model.generate(tokens, attention_mask=mask, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert recording.tokens == 6 + 4 + 2 * 4  # the last token of each is never handed in
    assert recording.loads().counts.sum(axis=2).tolist() == [[TOP_K * 18] * 3]


def test_a_recording_goes_on_and_shows_what_there_is_so_far():
    model, tokens = small_model("Olmoe"), batch()
    recording = record(model, window_tokens=60)
    for calls in (1, 2):
        with torch.inference_mode(), recording:
            model(tokens)
        model(tokens)  # outside of it
        np.testing.assert_array_equal(recording.loads().counts, [counted(chosen(model, tokens))] * calls)


@pytest.fixture
def fresh():
    """Forget what was compiled, before and after."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("fresh")
def test_compiled_models_are_recorded_in_one_graph():
    model, calls = small_model("Qwen3Moe"), [batch(), batch(2, 31)]
    picks = chosen(model, *calls)
    with torch.no_grad():
        alone = [model(tokens).logits for tokens in calls]
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        with record(compiled, window_tokens=10) as recording:
            returned = [compiled(tokens).logits for tokens in calls]
    for one, other in zip(returned, alone, strict=True):
        torch.testing.assert_close(one, other)
    assert recording.loads().windows == 13
    np.testing.assert_array_equal(recording.loads().counts.sum(axis=0), counted(picks))


@pytest.mark.usefixtures("fresh")
def test_calls_that_were_compiled_before_are_refused_rather_than_missed():
    compiled = torch.compile(small_model("Qwen3Moe"), backend="aot_eager")
    with torch.no_grad():
        compiled(batch())
        with record(compiled) as recording:
            compiled(batch())
    with pytest.raises(InputError, match=r"compiled before the recording began; call torch\.compiler\.reset\(\)"):
        recording.loads()


def test_llama4_is_recorded_at_its_router():
    config = transformers.Llama4TextConfig(
        **SIZES, num_local_experts=EXPERTS, intermediate_size_mlp=32, moe_layers=[1, 2]
    )
    torch.manual_seed(0)
    model = transformers.Llama4ForCausalLM(config).eval()
    scores = {}
    with torch.no_grad(), record(model) as recording:
        for number in (1, 2):
            router = model.model.layers[number].feed_forward.router
            torch.nn.init.normal_(router.weight)
            router.register_forward_hook(lambda _, args, returned, number=number: scores.update({number: returned[0]}))
        model(batch())
    assert recording.decoder_layers == (1, 2)
    picked = [(scores[number] > 0).sum(dim=0).numpy() for number in (1, 2)]
    np.testing.assert_array_equal(recording.loads().counts, [picked])
    assert recording.loads().counts.sum() == 2 * TOP_K * 60


class Experts(torch.nn.Module):
    """Experts of anybody, called by keyword."""

    def __init__(self, num_experts=4):
        super().__init__()
        self.num_experts = num_experts

    def forward(self, hidden_states, router_indices):
        return hidden_states


class OwnModel(torch.nn.Module):
    """A model of anybody: its tokens are what its experts pick."""

    def __init__(self, *experts, name="layers"):
        super().__init__()
        blocks = (torch.nn.ModuleDict({"mlp": one}) for one in experts or [Experts(), Experts()])
        self.add_module(name, torch.nn.ModuleList(blocks))

    def forward(self, picks, attention_mask=None):
        for layer in self.layers:
            layer["mlp"](None, router_indices=picks.reshape(-1, picks.shape[-1]))


@pytest.mark.usefixtures("fresh")
def test_models_that_are_compiled_in_place_are_recorded():
    model = OwnModel()
    model.compile(backend="aot_eager")
    with record(model, window_tokens=2) as recording:
        model(torch.tensor([[[0, 3], [0, 1], [2, 1]]]))
        model(torch.tensor([[[2, 3]]]))
    assert recording.loads().counts[:, 1].tolist() == [[2, 1, 0, 1], [0, 1, 2, 1]]


def test_what_is_no_experts_number_is_not_counted():
    model = OwnModel()
    with record(model, window_tokens=2) as recording:
        model(torch.tensor([[[0, 3], [4, 1], [-1, 2], [4, -7]]]))
        model(torch.tensor([[[2, 3]]]))
    assert recording.loads().counts[:, 0].tolist() == [[1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 1, 1]]


@settings(max_examples=50)
@given(picks=st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), min_size=1, max_size=30), data=st.data())
def test_counts_are_those_of_a_loop(picks, data):
    window = data.draw(st.integers(1, 40))
    real = data.draw(st.lists(st.booleans(), min_size=len(picks), max_size=len(picks)).filter(any))
    kept = [pair for pair, is_real in zip(picks, real, strict=True) if is_real]
    expected = np.zeros((-(-len(kept) // window), 4))
    for place, pair in enumerate(kept):
        for expert in pair:
            if 0 <= expert < 4:
                expected[place // window, expert] += 1
    model = OwnModel()
    with record(model, window) as recording:
        model(torch.tensor([picks], dtype=torch.int32), attention_mask=torch.tensor([real]))
    np.testing.assert_array_equal(recording.loads().counts, np.stack([expected, expected], axis=1))


class Named(torch.nn.Module):
    """A module of this class name, and of these attributes."""

    def __new__(cls, kind, **attributes):
        made = type(kind, (torch.nn.Module,), {"forward": lambda self, hidden_states: hidden_states})()
        made.__dict__.update(attributes)
        return made


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (torch.nn.Linear(1, 1), "Linear has no module whose class name ends in Experts; expected a Mixture-of-Experts"),
        (OwnModel(Named("InklingSharedExperts")), "OwnModel has no module whose class name ends in Experts"),
        (OwnModel(Named("JetMoeParallelExperts")), "JetMoeParallelExperts cannot be recorded: its attention picks"),
        (OwnModel(Named("NllbMoeExperts")), "NllbMoeExperts cannot be recorded: its encoder and its decoder"),
        (OwnModel(Named("SwitchTransformersExperts")), "SwitchTransformersExperts cannot be recorded: its encoder"),
        (
            OwnModel(Named("NewExperts", num_experts=4)),
            r"NewExperts\.forward takes hidden_states; expected picks",
        ),
        (OwnModel(Named("NewExperts")), r"layers\.0\.mlp does not say how many experts it has; expected num_experts"),
        (OwnModel(Experts(4), Experts(5)), "layers have 4, 5 experts; expected as many in each"),
        (OwnModel(name="parts"), r"parts\.0\.mlp has no number of a decoder layer in its name"),
        (
            torch.nn.ModuleDict({"a": OwnModel(), "b": OwnModel()}),
            r"b\.layers\.0\.mlp is in decoder layer 0 with",
        ),
        (
            OwnModel(Named("NewExperts", _is_expert_parallel=True)),
            "has a part of the experts only, under expert",
        ),
    ],
)
def test_models_that_cannot_be_recorded_are_refused_by_name(model, message):
    with pytest.raises(InputError, match=message):
        record(model)


@pytest.mark.parametrize("kind", [*REFUSED, *SHARED, *AT_THE_ROUTER, *AT_THE_ROUTER.values()])
def test_the_exceptions_are_those_that_transformers_has(kind):
    sources = (Path(transformers.__file__).parent / "models").glob("*/modeling_*.py")
    assert any(f"\nclass {kind}(" in source.read_text(encoding="utf-8") for source in sources)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model(torch.tensor([1, 2])), r"called without input_ids or inputs_embeds \[batch, tokens\]"),
        (
            lambda model: model(torch.ones(2, 3, 1).long(), attention_mask=torch.ones(2, 1, 3, 3)),
            r"attention_mask is \[2, 1, 3, 3\] for 2 x 3 tokens; expected \[batch, tokens\]",
        ),
        (
            lambda model: model(torch.ones(2, 3, 1).long(), attention_mask={"full": None}),
            "attention_mask is dict for 2 x 3 tokens",
        ),
        (
            lambda model: model.layers[0]["mlp"](None, router_indices=torch.tensor([[1]])),
            "the experts were called without the model that is recorded; record what is called",
        ),
    ],
)
def test_calls_that_cannot_be_recorded_are_refused(call, message):
    model = OwnModel()
    with record(model), pytest.raises(InputError, match=message):
        call(model)


def test_experts_that_get_a_part_of_the_tokens_are_refused():
    class Dropping(OwnModel):
        def forward(self, picks):
            super().forward(picks[:, 1:])

    model = Dropping()
    with record(model), pytest.raises(InputError, match="got 2 tokens of the model's 3; expected all of them"):
        model(torch.ones(1, 3, 1).long())


def test_a_recording_without_a_call_or_within_itself_is_refused():
    with record(OwnModel()) as recording:
        with pytest.raises(InputError, match="nothing was recorded; call the model in the block"):
            recording.loads()
        with pytest.raises(InputError, match="running already"):
            recording.__enter__()
    with pytest.raises(InputError, match="window_tokens is 0; expected a whole number of at least 1"):
        record(OwnModel(), window_tokens=0)


def test_tokens_that_would_be_counted_twice_are_refused():
    config = transformers.Qwen3MoeConfig(**SIZES, num_experts=EXPERTS)
    model = transformers.Qwen3MoeForCausalLM(config).train()
    model.gradient_checkpointing_enable()
    with pytest.raises(InputError, match="gradient checkpointing runs the experts twice"):
        record(model).__enter__()
    with record(model.eval()):
        pass


def test_nothing_stays_on_the_model_even_where_it_fails():
    model = OwnModel()

    def hooks():
        return [one for module in model.modules() for one in (*module._forward_pre_hooks, *module._forward_hooks)]

    with suppress(InputError), record(model):
        assert len(hooks()) == 4
        model(torch.tensor([1]))  # no tokens
    assert hooks() == []


def test_a_recording_is_planned_replayed_and_sized_as_any_loads():
    model = small_model("Qwen3Moe")
    with torch.no_grad(), record(model, window_tokens=20) as recording:
        for seed in range(4):
            model(batch(seed=seed))
    loads, cluster = recording.loads(), Cluster(gpus=4, slots_per_gpu=3)
    assert loads.windows == 12
    assert plan(loads, cluster).par.max() < plan(loads, cluster).par_before.max()
    assert len(simulate(loads, cluster, Never()).par) == 11
    cost = ExpertCost(layer=1, expert=1, tiles={8: 1})
    assert size(loads, setups_of(EXPERTS, [2, 4]), [Batch(16, TOP_K, cost)]).cells
