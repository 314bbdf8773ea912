"""The option that names the model, and what follows from it, so that nobody need say it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equipoise.cli.options.panels import MODEL
from equipoise.cluster import tied_groups
from equipoise.errors import InputError, setting

if TYPE_CHECKING:
    from equipoise.cluster import Cluster
    from equipoise.timing.known_models import Model

AskedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="The model, by its name or its config.json: says its top-k, groups and decoder layers.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]


@dataclass(frozen=True)
class ModelOptions:
    """The model as it was asked for; what other options say goes before what it says."""

    name: str | None

    @cached_property
    def model(self) -> Model | None:
        """The model, if one was named.

        Raises
        ------
        InputError
            If there is none of this name, or its file is not that of a model with experts.
        """
        from equipoise.formats import read_model

        return None if self.name is None else read_model(self.name)

    @property
    def file(self) -> Path | None:
        """The model's own config.json, if it is read."""
        if self.name is None or not Path(self.name).exists():
            return None
        path = Path(self.name)
        return path / "config.json" if path.is_dir() else path

    def check_experts(self, experts: int, of: str = "loads") -> None:
        """Refuse loads, or a placement, of another model.

        Raises
        ------
        InputError
            If they have another number of experts.
        """
        if self.model and self.model.experts != experts:
            raise InputError(
                f"the {of} {'have' if of == 'loads' else 'has'} {experts} experts, {self.name} has "
                f"{self.model.experts}; expected another {setting('model')}"
            )

    def groups(self, asked: int | None, cluster: Cluster) -> int | None:
        """Return the groups that were asked for, or else those that an engine would keep together on these nodes.

        None where nothing says.
        """
        if asked is not None or self.model is None:
            return asked
        return tied_groups(self.model.groups, self.model.experts, cluster.gpus, cluster.nodes)
