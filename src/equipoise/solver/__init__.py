"""The compiled loops, one file per step.

A kernel takes arrays and numbers and writes into arrays; it holds no words, raises nothing and releases the GIL.
"""
