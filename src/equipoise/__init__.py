"""Equipoise decides where the experts of a Mixture-of-Experts model live on a GPU cluster."""

from equipoise.balance import Balance, balance
from equipoise.cluster import Cluster
from equipoise.engines.deepseek import rebalance_experts
from equipoise.errors import InputError
from equipoise.loads import Loads
from equipoise.migration import Migration, Traffic
from equipoise.placement import Placement
from equipoise.planner import plan
from equipoise.plans import Plan

__all__ = [
    "Balance",
    "Cluster",
    "InputError",
    "Loads",
    "Migration",
    "Placement",
    "Plan",
    "Traffic",
    "balance",
    "plan",
    "rebalance_experts",
]
