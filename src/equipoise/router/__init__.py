"""Filled routing: from the experts that a batch picks to slots, so that what a GPU sends to the others is even."""
