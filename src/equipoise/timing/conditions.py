"""Conditions: what a cost was measured with, so that it is not taken for another model's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from equipoise.errors import InputError, check_count
from equipoise.timing.known_gpus import BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.timing.known_models import Model


@dataclass(frozen=True)
class Conditions:
    """The GPU, the programs, and the experts of the model, as far as they are known.

    Parameters
    ----------
    device : str
        The GPU's name.
    versions : mapping of str to str
        The version of each program that the time depends on.
    hidden_size, expert_size : int, optional
        Width of a token, and of what an expert makes of it in between.
    dtype : str
        The type of the numbers: ``bf16``, ``fp8``.
    top_k : int, optional
        Experts that a token of the model selects.

    Raises
    ------
    InputError
        If a size or the top-k is no whole number of at least 1.
    """

    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hidden_size: int | None = None
    expert_size: int | None = None
    dtype: str = ""
    top_k: int | None = None

    def __post_init__(self) -> None:
        for name in ("hidden_size", "expert_size", "top_k"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_count(name, getattr(self, name)))

    @property
    def expert_bytes(self) -> int | None:
        """Bytes of an expert's weights of one layer: gate, up and down; None where sizes or type are not known."""
        if self.hidden_size is None or self.expert_size is None or self.dtype not in BYTES:
            return None
        return 3 * self.hidden_size * self.expert_size * BYTES[self.dtype]

    def check_model(self, model: Model) -> None:
        """Refuse a model whose experts have another size than those that were measured.

        Raises
        ------
        InputError
            If a size is known, and is another.
        """
        for name in ("hidden_size", "expert_size"):
            measured, wanted = getattr(self, name), getattr(model, name)
            if measured not in (None, wanted):
                raise InputError(
                    f"the cost is for a {name} of {measured}, the model has {wanted}; expected one that was measured "
                    "with this model's experts"
                )
