"""The cases: which loads are placed on which cluster, and what is expected of Equipoise there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from equipoise import Cluster


@dataclass(frozen=True)
class Target:
    """What Equipoise is to reach; nothing is asked where a number is left out.

    Attributes
    ----------
    par : float
        Mean PAR at default effort, at most: the proven optimum for Mixtral, elsewhere the best figure known
        beforehand, or 0.0003 above what a program found by evolutionary search reaches in seconds.
    thorough_par : float
        Mean PAR at thorough effort, at most.
    over_bound : float
        Mean PAR as a multiple of the mean bound, at most.
    times_vllm : float
        vLLM's time as a multiple of Equipoise's at default effort, at least.
    ms : float
        Milliseconds at default effort, at most.
    """

    par: float | None = None
    thorough_par: float | None = None
    over_bound: float | None = None
    times_vllm: float | None = None
    ms: float | None = None

    @property
    def of_time(self) -> Target:
        """What is to be reached whatever the loads are."""
        return Target(times_vllm=self.times_vllm, ms=self.ms)


@dataclass(frozen=True)
class Case:
    """Loads of one window, or of all (``None``) added up, and the cluster to place them on."""

    loads: str
    window: int | None
    slots: int
    gpus: int
    groups: int = 1
    nodes: int = 1
    dead: tuple[int, ...] = ()
    target: Target = field(default=Target())

    @property
    def cluster(self) -> Cluster:
        """Where to place."""
        return Cluster(gpus=self.gpus, nodes=self.nodes, slots_per_gpu=self.slots // self.gpus, dead=self.dead)

    @property
    def on_sample(self) -> Case:
        """The same case on the bundled sample: of what is expected on recorded loads, only the times are."""
        return replace(self, loads="sample", target=self.target.of_time)

    def __str__(self) -> str:
        window = "" if self.window is None else f" [{self.window}]"
        groups = f" ({self.groups}/{self.nodes})" if self.groups > 1 else ""
        dead = "".join(f" without GPU {gpu}" for gpu in self.dead)
        return f"{self.loads}{window} {self.slots}/{self.gpus}{groups}{dead}"


CASES = (
    Case(
        "deepseek_v3_sglang_ep",
        0,
        288,
        32,
        groups=8,
        nodes=4,
        target=Target(par=1.31016, over_bound=1.0005, times_vllm=20),
    ),
    Case("deepseek_v3_sglang_ep", 0, 288, 32, target=Target(par=1.0003, times_vllm=10)),
    Case("deepseek_v3_sglang_ep", 0, 320, 64, groups=8, nodes=8, target=Target(par=2.01453)),
    Case("deepseek_v3_sglang_ep", 0, 320, 64, target=Target(par=1.0006, thorough_par=1.0003, times_vllm=8)),
    Case("deepseek_v3_sglang_ep", 0, 288, 144, target=Target(par=1.158, thorough_par=1.143, times_vllm=10)),
    Case("deepseek_v3_sglang_ep", 1, 288, 32, groups=8, nodes=4),
    Case("deepseek_v3_sglang_ep", 1, 288, 32),
    Case("deepseek_v3_sglang_ep", 1, 320, 64, groups=8, nodes=8),
    Case("deepseek_v3_sglang_ep", 1, 320, 64),
    Case("deepseek_v3_sglang_ep", 1, 288, 144),
    Case("deepseek_v3_sglang_ep", 3, 288, 32, groups=8, nodes=4),
    Case("deepseek_v3_sglang_ep", 3, 288, 32),
    Case("deepseek_v3_sglang_ep", 3, 320, 64, groups=8, nodes=8),
    Case("deepseek_v3_sglang_ep", 3, 320, 64),
    Case("deepseek_v3_sglang_ep", 3, 288, 144),
    Case("deepseek_v3_sglang_ep", 4, 288, 32, groups=8, nodes=4),
    Case("deepseek_v3_sglang_ep", 4, 288, 32),
    Case("deepseek_v3_sglang_ep", 4, 320, 64, groups=8, nodes=8),
    Case("deepseek_v3_sglang_ep", 4, 320, 64),
    Case("deepseek_v3_sglang_ep", 4, 288, 144),
    Case("deepseek_v3_sglang_ep", 7, 288, 32, groups=8, nodes=4),
    Case("deepseek_v3_sglang_ep", 7, 288, 32),
    Case("deepseek_v3_sglang_ep", 7, 320, 64, groups=8, nodes=8),
    Case("deepseek_v3_sglang_ep", 7, 320, 64),
    Case("deepseek_v3_sglang_ep", 7, 288, 144),
    Case("qwen3_30b_a3b_decode", None, 144, 16, target=Target(par=1.00035)),
    Case("qwen3_30b_a3b_decode", None, 160, 32, target=Target(par=1.00096)),
    Case("qwen3_30b_a3b_decode", None, 128, 8, target=Target(par=1.0003)),
    Case("qwen3_next_80b_a3b_decode", None, 576, 32, target=Target(par=1.00031)),
    Case("qwen3_next_80b_a3b_decode", None, 576, 64, target=Target(par=1.0003, times_vllm=8)),
    Case("mixtral_8x7b_calib", None, 16, 8, target=Target(par=1.020868)),
    Case("mixtral_8x7b_calib", None, 12, 4, target=Target(par=1.003727)),
    Case("mixtral_8x7b_calib", None, 16, 4, target=Target(par=1.00167)),
    Case("deepseek_moe_16b_calib", None, 72, 8, target=Target(par=1.00031)),
    Case("deepseek_moe_16b_calib", None, 80, 16, target=Target(par=1.00047)),
    Case("gpt_oss_20b_tasks", None, 40, 8, target=Target(par=1.0008, thorough_par=1.0007, times_vllm=3)),
    Case("gpt_oss_20b_tasks", None, 32, 4, target=Target(par=1.00035)),
    Case("gpt_oss_20b_tasks", None, 48, 16, target=Target(par=1.0105, thorough_par=1.006, times_vllm=3)),
    Case("deepseek_v2_lite_esft", None, 72, 8, target=Target(par=1.00032)),
    Case("deepseek_v2_lite_esft", None, 80, 16, target=Target(par=1.00063, thorough_par=1.0004)),
    Case("deepseek_v2_lite_esft", None, 72, 8, groups=8, nodes=2, target=Target(par=1.00244)),
    Case("olmoe_1b_7b_domains", None, 72, 8, target=Target(par=1.00031)),
)
