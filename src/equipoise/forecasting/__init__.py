"""Which windows of the past stand for the traffic to come."""
