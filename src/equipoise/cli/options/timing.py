"""The options that say what experts cost, and for which batches; the same for all commands that tell of time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equipoise.cli.options.panels import TIME
from equipoise.cli.options.values import Counts, parse_counts
from equipoise.timing.known_gpus import Dtype

if TYPE_CHECKING:
    from equipoise.timing.batch import Batch
    from equipoise.timing.expert_cost import ExpertCost
    from equipoise.timing.known_models import Model

DEFAULT_TOKENS = Counts((128, 4096))  # a batch of decode, and one of prefill

AskedCost = Annotated[
    Path | None,
    typer.Option(
        "--cost",
        help="What experts take: a file of equipoise measure, or CSV with tokens, microseconds.",
        show_default=False,
        rich_help_panel=TIME,
    ),
]
AskedGpu = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        metavar="NAME",
        help="Instead of --cost: what a GPU such as H100 does at best with the experts of --model.",
        show_default=False,
        rich_help_panel=TIME,
    ),
]
AskedDtype = Annotated[
    Dtype | None,
    typer.Option("--dtype", help="The type of weights and tokens, with --gpu; otherwise bf16.", rich_help_panel=TIME),
]
Tokens = Annotated[
    Counts | None,
    typer.Option(
        parser=parse_counts,
        metavar="TOKENS",
        help="Tokens that each GPU brings to a pass, several with commas; otherwise 128,4096.",
        show_default=False,
        rich_help_panel=TIME,
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(min=1, help="Experts that a token selects; otherwise as --model or --cost has.", rich_help_panel=TIME),
]


@dataclass(frozen=True)
class TimingOptions:
    """The options of layer time as they were given; None where they were not."""

    cost: Path | None
    gpu: str | None
    dtype: Dtype | None
    tokens: Counts | None
    top_k: int | None

    def __post_init__(self) -> None:
        if self.cost is not None and self.gpu is not None:
            raise typer.BadParameter("say --cost or --gpu, not both", param_hint="--gpu")
        if self.gpu is None and self.dtype is not None:
            raise typer.BadParameter("goes with --gpu alone; a cost has its own", param_hint="--dtype")
        if self.tokens is not None and not self.is_asked:
            raise typer.BadParameter("say what experts take, with --cost or --gpu", param_hint="--tokens")

    def batches(self, model: Model | None) -> list[Batch]:
        """Return the batches to time, with what they cost; none where no cost was asked for.

        Raises
        ------
        typer.BadParameter
            If nothing says how many experts a token selects, or how large the experts are.
        InputError
            If the cost cannot be read or is not for this model, or the GPU is not known.
        """
        from equipoise.timing.batch import Batch

        if not self.is_asked:
            return []
        cost = self._cost(model)
        top_k = self.top_k or (model.top_k if model else cost.conditions.top_k)
        if top_k is None:
            raise typer.BadParameter("say how many experts a token selects, or the --model", param_hint="--top-k")
        return [Batch(tokens, top_k, cost) for tokens in self.tokens or DEFAULT_TOKENS]

    @property
    def is_asked(self) -> bool:
        """Whether anything says what experts take."""
        return self.cost is not None or self.gpu is not None

    @property
    def source(self) -> str:
        """The file of the cost, or the name of the GPU."""
        return str(self.cost or self.gpu)

    def _cost(self, model: Model | None) -> ExpertCost:
        from equipoise.formats import read_cost
        from equipoise.timing.expert_cost import ExpertCost

        if self.cost is not None:
            return read_cost(self.cost, model)
        if model is None:
            raise typer.BadParameter("say whose experts the GPU has", param_hint="--model")
        return ExpertCost.roofline(str(self.gpu), model, self.dtype or "bf16")
