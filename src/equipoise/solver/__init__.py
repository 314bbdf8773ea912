"""The compiled loops: three starting steps, two searches, four uses.

The steps: group (``grouping``), replicate (``replication``), pack (``packing``); ``free_slots`` where most slots are
taken already.

The searches: transfers and swaps lower the peak of one load (``transfers``, ``swaps``; ``other_starts`` and
``all_counts`` where these are stuck); relief lowers pressure, over windows and at a price (``relief``, ``windows``,
``prices``, ``history``).

The uses: plans afresh for one load (``afresh``); and by ``replanning``, from a start or from what is live, plans for
the traffic to come, soft locality and few moves. ``bounding`` says how low a peak can be at all.

How they are compiled (``compiling``, ``inlining``), and where their code is kept (``keeping``).

A kernel takes arrays and numbers and writes into arrays; it holds no words, raises nothing and releases the GIL.
"""
