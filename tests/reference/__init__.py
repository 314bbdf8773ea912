"""Slow, obvious versions of the planner's steps, and exact optima, to compare the planner against."""
