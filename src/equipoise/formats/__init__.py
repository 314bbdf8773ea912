"""One file per file format: read and write loads, placements and costs; read models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.errors import InputError, check_choice, setting
from equipoise.formats.costs import encode_cost, read_cost_file
from equipoise.formats.deployment import Deployment
from equipoise.formats.files.at_hand import at_hand
from equipoise.formats.files.atomic import check_writable, write_whole
from equipoise.formats.files.refusals import naming
from equipoise.formats.model_config import read_config
from equipoise.formats.recordings import Asked, read_recordings
from equipoise.formats.registry import (
    LOADS,
    LOADS_WRITTEN,
    PLACEMENTS,
    format_to_read,
    loads_format_to_write,
    placement_format_shown,
    placement_format_to_write,
)
from equipoise.formats.sniffing import Glimpse
from equipoise.formats.splits import write_split
from equipoise.loads import Loads
from equipoise.timing.known_models import MODELS, known_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.placement import Placement
    from equipoise.timing.expert_cost import ExpertCost
    from equipoise.timing.known_models import Model

__all__ = [
    "Deployment",
    "check_loads_path",
    "check_placement_path",
    "holds_placement",
    "read_cost",
    "read_loads",
    "read_model",
    "read_placement",
    "write_cost",
    "write_loads",
    "write_placement",
    "write_split",
]


def read_loads(
    path: str | Path | Sequence[str | Path],
    format: str | None = None,  # noqa: A002 - the word for it
    model: Model | None = None,
    *,
    windows: slice = slice(None),
    experts: int | None = None,
) -> Loads:
    """Read recorded loads.

    Parameters
    ----------
    path : str, Path, or a sequence of these
        A file or, where an engine writes one for each rank, the folder of them. Several files, and those of any other
        folder in the order of the numbers in their names, are windows that follow on each other. ``"-"`` is standard
        input; ``.gz`` and ``.zst`` are unpacked.
    format : str, optional
        A name in :data:`equipoise.formats.registry.LOADS`; otherwise the content says which format it is.
    model : Model, optional
        The model that was recorded, as :func:`read_model` returns it: what SGLang's ``routed_experts`` do not say.
    windows : slice
        Which windows to keep.
    experts : int, optional
        How many experts to keep: those after them, as zero-computation experts are, are left out.

    Returns
    -------
    Loads
        Counts ``[windows, layers, experts]``.

    Raises
    ------
    InputError
        If a file cannot be read as loads, they do not fit each other, or no window is left; the message begins with the
        file's name.

    Examples
    --------
    >>> read_loads("loads.npz", format="excel")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    equipoise.errors.InputError: loads.npz: format is 'excel'; expected 'vllm-window', 'numpy', 'parquet', ...
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(one) for one in path]
    if not paths:
        raise InputError("there are no files of loads; expected one at least")
    if format is not None:
        with naming(paths[0]):
            check_choice(setting("format"), format, LOADS)
    loads = read_recordings(paths, Asked(format, model, experts))
    if windows == slice(None):
        return loads
    if not loads.counts[windows].size:
        raise InputError(
            f"{paths[0]}: no window is left of {loads.windows} by {setting('windows')}; expected some from 0 to "
            f"{loads.windows}"
        )
    return Loads(loads.counts[windows], loads.labels[windows], loads.decoder_layers)


def read_placement(
    path: str | Path,
    format: str | None = None,  # noqa: A002
    deployment: Deployment = Deployment(),  # noqa: B008 - it cannot be changed
) -> Placement:
    """Read a placement of Equipoise or of an engine.

    Parameters
    ----------
    path : str or Path
        The file.
    format : str, optional
        A name in :data:`equipoise.formats.registry.PLACEMENTS`; otherwise the content says which format it is.
    deployment : Deployment
        What an engine's file does not say; those of SGLang and TensorRT-LLM do not say how many GPUs there are.

    Returns
    -------
    Placement
        With a replica of every expert in every layer; one of SGLang or TensorRT-LLM may have two on a GPU.

    Raises
    ------
    InputError
        If the file cannot be read as a placement; the message begins with the file's name.
    """
    path = Path(path)
    with naming(path), at_hand(path) as file:
        return format_to_read(file, PLACEMENTS, format).read(file, deployment)


def holds_placement(path: str | Path) -> bool:
    """Return whether the file shows itself to be a placement, valid or not, rather than loads.

    Raises
    ------
    InputError
        If the file cannot be opened.
    """
    path = Path(path)
    with naming(path), at_hand(path) as file:
        return placement_format_shown(Glimpse.of(file)) is not None


def write_loads(loads: Loads, path: str | Path, format: str | None = None) -> str:  # noqa: A002
    """Write loads, whole or not at all, but for the names of windows; return the name of the format.

    Parameters
    ----------
    loads : Loads
        The loads.
    path : str or Path
        The file.
    format : str, optional
        ``"numpy"``, ``"csv"`` or ``"parquet"``; otherwise the suffix says which.

    Raises
    ------
    InputError
        If loads are not written in that format or to such a file, or the file cannot be written.
    """
    path = Path(path)
    with naming(path):
        name = loads_format_to_write(path, format)
        content = LOADS_WRITTEN[name](loads)
    write_whole(path, content)
    return name


def check_loads_path(path: str | Path) -> None:
    """Refuse a path that :func:`write_loads` could not write to, before the work is done that it shall hold.

    Raises
    ------
    InputError
        If files that end so are not written, or the file could not be.
    """
    path = Path(path)
    with naming(path):
        loads_format_to_write(path, None)
    check_writable(path)


def check_placement_path(path: str | Path, format: str | None = None) -> str:  # noqa: A002
    """Refuse a path that :func:`write_placement` could not write to, before the work is done that it shall hold.

    It returns the name of the format that would be written.

    Raises
    ------
    InputError
        If the format is not known, its files end otherwise, or the file could not be written.
    """
    path = Path(path)
    with naming(path):
        name = placement_format_to_write(path, format)
    check_writable(path)
    return name


def write_placement(
    placement: Placement,
    path: str | Path,
    format: str | None = None,  # noqa: A002
    deployment: Deployment = Deployment(),  # noqa: B008
) -> str:
    """Write a placement for Equipoise or for an engine, whole or not at all; return the name of the format.

    Parameters
    ----------
    placement : Placement
        The placement.
    path : str or Path
        The file.
    format : str, optional
        A name in :data:`equipoise.formats.registry.PLACEMENTS`; otherwise the suffix says which, or it is Equipoise's
        own.
    deployment : Deployment
        Which decoder layers the placement's layers are, for engines that count all of them.

    Raises
    ------
    InputError
        If the engine would refuse the placement or a file of that name, or the file cannot be written.
    """
    path = Path(path)
    with naming(path):
        name = placement_format_to_write(path, format)
        content = PLACEMENTS[name].encode(placement, deployment)
    write_whole(path, content)
    return name


def read_cost(path: str | Path, model: Model | None = None) -> ExpertCost:
    """Read what the tokens of experts take on a GPU.

    Parameters
    ----------
    path : str or Path
        What :func:`write_cost` wrote, or CSV with the columns ``tokens`` and ``microseconds``: what so many tokens of
        one expert take. Its rows may fall here and there, by 15 % at most; they are levelled, and
        ``cost.table.levelled`` says by how much.
    model : Model, optional
        The model that it shall be for; without it, sizes are not compared.

    Raises
    ------
    InputError
        If the file cannot be read as a cost, or is for experts of another size; the message begins with the file's
        name.
    """
    path = Path(path)
    with naming(path):
        cost = read_cost_file(path)
        if model is not None:
            cost.conditions.check_model(model)
    return cost


def write_cost(cost: ExpertCost, path: str | Path) -> None:
    """Write a cost as JSON, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_whole(path, encode_cost(cost))


def read_model(model: str | Path) -> Model:
    """Return a model by its name, or read its own ``config.json``.

    Parameters
    ----------
    model : str or Path
        A name in :data:`equipoise.timing.known_models.MODELS`, whatever its case, or else the file or the folder that
        it is in.

    Raises
    ------
    InputError
        If there is no such model, or the file is not that of a model with experts; then the message begins with the
        file's name.

    Examples
    --------
    >>> model = read_model("DeepSeek-V3")
    >>> model.experts, model.top_k, model.first_moe_layer, model.layers
    (256, 8, 3, 61)
    """
    path = Path(model)
    if str(model).lower() in MODELS or not str(model) or not path.exists():
        return known_model(str(model))
    path = path / "config.json" if path.is_dir() else path
    with naming(path):
        return read_config(path)
