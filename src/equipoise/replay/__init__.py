"""A recorded trace, served under policies that decide when to plan again."""
