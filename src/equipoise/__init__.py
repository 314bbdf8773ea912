"""Equipoise decides where the experts of a Mixture-of-Experts model live on a GPU cluster."""

from equipoise.cluster import Cluster
from equipoise.engines.deepseek import rebalance_experts
from equipoise.errors import InputError
from equipoise.forecasting.forecast import forecast
from equipoise.formats import (
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
from equipoise.loads import Loads
from equipoise.migration.costs import Costs
from equipoise.migration.migration import Migration, Traffic, count_moves
from equipoise.placement import Placement
from equipoise.planner import plan, warm_up
from equipoise.planning.forecast import Forecast
from equipoise.planning.plan import Plan
from equipoise.planning.scenarios import Scenarios
from equipoise.replay.policies import Afresh, DeepSeekRule, FewMoves, Never, Oracle, WhenWorth
from equipoise.replay.simulate import Replay, compare, simulate
from equipoise.router.router import Router
from equipoise.runtime.record import record
from equipoise.serving.balance import Balance, balance
from equipoise.serving.best_split import Split, least_peak_split
from equipoise.serving.slot_shares import slot_shares
from equipoise.sizing.cell import Cell
from equipoise.sizing.recommending import Advice
from equipoise.sizing.setup import Setup, setups_of
from equipoise.sizing.size import Sizing, size
from equipoise.synthetic.sample import sample_loads
from equipoise.synthetic.traces import synthetic_trace
from equipoise.timing.batch import Batch
from equipoise.timing.conditions import Conditions
from equipoise.timing.expert_cost import ExpertCost
from equipoise.timing.known_models import Model
from equipoise.timing.layer_time import LayerTime, layer_time

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
