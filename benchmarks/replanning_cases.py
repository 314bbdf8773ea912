"""The cases of replanning and of soft locality: what is live, what is allowed, and what is expected of Equipoise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from benchmarks.cases import Case, Target
from benchmarks.planner import Limits

if TYPE_CHECKING:
    from pathlib import Path

LIVE_WINDOW = 0
SOFT_MS = 300


@dataclass(frozen=True)
class Ask:
    """Limits, and what is to be reached within them."""

    limits: Limits = field(default=Limits())
    target: Target = field(default=Target())

    @property
    def on_sample(self) -> Ask:
        """The same on the bundled sample."""
        return replace(self, target=self.target.of_time)


@dataclass(frozen=True)
class Replanning:
    """A case, and what is asked there, the strictest limits first: with wider ones no PAR is higher.

    Attributes
    ----------
    live : "vLLM", "equipoise" or None
        Whose plan for window 0, made before any GPU died, is live; None where nothing is.
    """

    case: Case
    asks: tuple[Ask, ...]
    live: Literal["vLLM", "equipoise"] | None = None

    @property
    def planned_before(self) -> Case:
        """The case whose plan is live."""
        return replace(self.case, window=LIVE_WINDOW, dead=())

    @property
    def on_sample(self) -> Replanning:
        """The same on the bundled sample."""
        return replace(self, case=self.case.on_sample, asks=tuple(ask.on_sample for ask in self.asks))

    def __str__(self) -> str:
        return f"{self.case} from {self.live}'s [{LIVE_WINDOW}]" if self.live else str(self.case)


def replannings_of(folder: Path | None, beside_vllm: bool) -> list[Replanning]:
    """Return the cases: on recorded loads or on the sample, and from plans of Equipoise where vLLM is missing."""
    found = REPLANNINGS if folder else [one.on_sample for one in REPLANNINGS]
    return [replace(one, live="equipoise") if one.live and not beside_vllm else one for one in found]


def _few_moves(window: int, *asks: Ask) -> Replanning:
    return Replanning(Case("deepseek_v3_sglang_ep", window, 288, 32), asks, live="vLLM")


def _soft(case: Case, par: dict[float, float | None]) -> Replanning:
    """Return a case with caps on the load off its home node, each with the PAR to reach, and last without any cap."""
    capped = [Ask(Limits(off_node=share), Target(par=most, ms=SOFT_MS)) for share, most in par.items()]
    return Replanning(case, (*capped, Ask(Limits(locality="soft"), Target(ms=SOFT_MS)), Ask(Limits(locality="none"))))


ON_4_NODES = Case("deepseek_v3_sglang_ep", 0, 288, 32, groups=8, nodes=4)
ON_8_NODES = Case("deepseek_v3_sglang_ep", 0, 320, 64, groups=8, nodes=8)
PAR_ON_4_NODES = {0.0: None, 0.02: None, 0.04: None, 0.06: None, 0.08: 1.03, 0.1: None}
PAR_ON_8_NODES = {0.0: None, 0.05: None, 0.1: None, 0.15: None, 0.19: 1.1}

REPLANNINGS = (
    _few_moves(1, Ask(Limits(max_moves=0.09), Target(par=1.005, times_vllm=1))),
    _few_moves(3, Ask(Limits(max_moves=0.15), Target(par=1.005, times_vllm=1))),
    _few_moves(
        7,
        Ask(Limits(max_moves=0.02)),
        Ask(Limits(max_moves=0.05)),
        Ask(Limits(max_moves=0.1)),
        Ask(Limits(max_moves=0.18), Target(par=1.0055, times_vllm=1)),
        Ask(),
    ),
    Replanning(
        Case("deepseek_v3_sglang_ep", 0, 288, 32, dead=(5,)),
        (Ask(Limits(max_moves=0.0)), Ask(Limits(max_moves=0.05)), Ask()),
        live="equipoise",
    ),
    _soft(ON_4_NODES, PAR_ON_4_NODES),
    _soft(ON_8_NODES, PAR_ON_8_NODES),
    _soft(replace(ON_4_NODES, window=1), dict.fromkeys(PAR_ON_4_NODES)),
    _soft(replace(ON_8_NODES, window=1), dict.fromkeys(PAR_ON_8_NODES)),
)
