"""Equipoise decides where the experts of a Mixture-of-Experts model live on a GPU cluster."""

from .cluster import Cluster
from .engines.deepseek import rebalance_experts
from .errors import InputError
from .forecasting.forecast import forecast
from .formats import (
    Deployment,
    read_cost,
    read_loads,
    read_model,
    read_placement,
    write_cost,
    write_loads,
    write_placement,
    write_split,
)
from .loads import Loads
from .migration.costs import Costs
from .migration.migration import Migration, Traffic, count_moves
from .placement import Placement
from .planner import plan, warm_up
from .planning.forecast import Forecast
from .planning.plan import Plan
from .planning.scenarios import Scenarios
from .replay.policies import Afresh, DeepSeekRule, FewMoves, Never, Oracle, WhenWorth
from .replay.simulate import Replay, compare, simulate
from .router.router import Router
from .runtime.record import record
from .serving.balance import Balance, balance
from .serving.best_split import Split, least_peak_split
from .serving.slot_shares import slot_shares
from .sizing.cell import Cell
from .sizing.recommending import Advice
from .sizing.setup import Setup, setups_of
from .sizing.size import Sizing, size
from .synthetic.sample import sample_loads
from .synthetic.traces import synthetic_trace
from .timing.batch import Batch
from .timing.conditions import Conditions
from .timing.expert_cost import ExpertCost
from .timing.known_models import Model
from .timing.layer_time import LayerTime, layer_time

__all__ = [
    "Advice",
    "Afresh",
    "Balance",
    "Batch",
    "Cell",
    "Cluster",
    "Conditions",
    "Costs",
    "DeepSeekRule",
    "Deployment",
    "ExpertCost",
    "FewMoves",
    "Forecast",
    "InputError",
    "LayerTime",
    "Loads",
    "Migration",
    "Model",
    "Never",
    "Oracle",
    "Placement",
    "Plan",
    "Replay",
    "Router",
    "Scenarios",
    "Setup",
    "Sizing",
    "Split",
    "Traffic",
    "WhenWorth",
    "balance",
    "compare",
    "count_moves",
    "forecast",
    "layer_time",
    "least_peak_split",
    "plan",
    "read_cost",
    "read_loads",
    "read_model",
    "read_placement",
    "rebalance_experts",
    "record",
    "sample_loads",
    "setups_of",
    "simulate",
    "size",
    "slot_shares",
    "synthetic_trace",
    "warm_up",
    "write_cost",
    "write_loads",
    "write_placement",
    "write_split",
]
