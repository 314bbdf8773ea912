"""The router in Triton: what ``reference.py`` says, bit for bit, in two launches, or three for many picks.

Whole numbers throughout, and nothing depends on an order. Nothing is kept from call to call, and all shapes follow from
the batch's and the placement's, so that the launches fit a CUDA graph.
"""
