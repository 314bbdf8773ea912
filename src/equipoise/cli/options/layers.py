"""The options that say which of the model's layers have experts, where a file cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from equipoise.cli.options.panels import MODEL
from equipoise.cli.options.values import Counts

if TYPE_CHECKING:
    from equipoise.cli.options.model import ModelOptions
    from equipoise.formats import Deployment
    from equipoise.loads import Loads
    from equipoise.placement import Placement


def parse_layers(text: str) -> Counts:
    """Return the layers that an option names: ``1,3,5,7``.

    Raises
    ------
    typer.BadParameter
        If they are no rising whole numbers.

    Examples
    --------
    >>> parse_layers("1,3,5,7")
    (1, 3, 5, 7)
    """
    fields = text.split(",")
    layers = Counts(int(field) for field in fields if field.strip().isdecimal())
    if len(layers) < len(fields) or list(layers) != sorted(set(layers)):
        raise typer.BadParameter(f"{text!r} names no layers; expected rising numbers such as 1,3,5,7")
    return layers


FirstMoeLayer = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Dense layers before the first with experts, for engines that count them; otherwise as --model has.",
        rich_help_panel=MODEL,
    ),
]
MoeLayers = Annotated[
    Counts | None,
    typer.Option(
        parser=parse_layers,
        metavar="LAYERS",
        help="The decoder layers with experts, such as 1,3,5,7; otherwise those from --first-moe-layer on.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
NumLayers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Decoder layers in all, for SGLang and TensorRT-LLM; otherwise as --model has.",
        rich_help_panel=MODEL,
    ),
]


@dataclass(frozen=True)
class LayerOptions:
    """The layers' options as they were given; None where they were not."""

    named: ModelOptions
    first_moe_layer: int | None = None
    moe_layers: tuple[int, ...] | None = None
    num_layers: int | None = None

    @property
    def given(self) -> str | None:
        """The first option that was given, if any."""
        options = {
            "--first-moe-layer": self.first_moe_layer,
            "--moe-layers": self.moe_layers,
            "--num-layers": self.num_layers,
        }
        return next((option for option, value in options.items() if value is not None), None)

    def deployment(self, gpus: int | None = None, nodes: int | None = None) -> Deployment:
        """Return what engines' files do not say, as options say it, and for the rest as the model has it."""
        from equipoise.formats import Deployment

        model, moe_layers = self.named.model, self.moe_layers
        if model and self._open:
            moe_layers = tuple(model.moe_layers)
        num_layers = self.num_layers or (model.layers if model else None)
        return Deployment(gpus, nodes, self.first_moe_layer, num_layers, moe_layers)

    def to_write(self, placement: Placement, written: str) -> Deployment:
        """Return it for a placement that is written in a format.

        The model's layers are not the placement's where that knows its own or has dense ones too; of fewer layers they
        are the first. If there are not enough, they are needed only for files that have other layers.
        """
        from equipoise.formats.registry import PLACEMENTS

        deployment = self.deployment()
        if not self._open or deployment.moe_layers is None:
            return deployment
        numbers = deployment.moe_layers[: placement.layers]
        has_its_own = placement.decoder_layers is not None or placement.layers == deployment.num_layers
        enough = len(numbers) == placement.layers or PLACEMENTS[written].padded
        return replace(deployment, moe_layers=numbers if enough and not has_its_own else None)

    def numbered(self, loads: Loads) -> Loads:
        """Return the loads with the numbers of their layers, as options say them or else as the file has them.

        Raises
        ------
        InputError
            If the options do not fit the loads.
        """
        from equipoise.formats import Deployment

        said = Deployment(first_moe_layer=self.first_moe_layer, moe_layers=self.moe_layers)
        return loads.numbered(said.known_layers(loads))

    def check_used(self, writes: str | None, reads_placement: bool) -> None:
        """Refuse options that nothing needs.

        Parameters
        ----------
        writes : str or None
            The format of the placement that is written, if one is.
        reads_placement : bool
            Whether a placement is read, which may need them.

        Raises
        ------
        typer.BadParameter
            Naming the option.
        """
        from equipoise.formats.registry import PLACEMENTS

        if reads_placement or self.given is None:
            return
        if writes is None:
            raise typer.BadParameter("no file is written that has the layers' numbers", param_hint=self.given)
        if not PLACEMENTS[writes].numbered:
            raise typer.BadParameter(f"files for {writes} do not have the layers' numbers", param_hint=self.given)
        if self.num_layers is not None and not PLACEMENTS[writes].padded:
            raise typer.BadParameter(
                f"files for {writes} have the layers with experts alone", param_hint="--num-layers"
            )

    @property
    def _open(self) -> bool:
        """Whether no option says which layers have experts."""
        return self.first_moe_layer is None and self.moe_layers is None
