"""Tests of the files, and what they share."""
