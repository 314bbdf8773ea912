"""Loads that nobody recorded: the sample, and traces that change in a named way."""
