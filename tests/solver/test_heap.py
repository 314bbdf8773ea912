from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solver.compiled import pop_top, push_entry, replace_top

# Few different keys, so that ties are many; pushed in any order of the items.
ENTRIES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 7.0]), min_size=1, max_size=20).flatmap(
    lambda keys: st.permutations(list(enumerate(keys)))
)


def heap_of(entries):
    keys, items = np.zeros(len(entries)), np.zeros(len(entries), np.int64)
    for size, (item, key) in enumerate(entries):
        push_entry(keys, items, size, key, item)
    return keys, items


def pop_all(keys, items):
    return [pop_top(keys, items, size) for size in range(len(items), 0, -1)]


def in_order(entries):
    return [item for item, _ in sorted(entries, key=lambda entry: (-entry[1], entry[0]))]


@settings(deadline=None)
@given(entries=ENTRIES)
def test_items_come_heaviest_first_and_ties_by_the_lowest_item(entries):
    assert pop_all(*heap_of(entries)) == in_order(entries)


@settings(deadline=None)
@given(entries=ENTRIES, key=st.sampled_from([-2.0, 0.0, 0.5, 8.0]))
def test_replacing_the_top_leaves_the_others_in_order(entries, key):
    keys, items = heap_of(entries)
    replace_top(keys, items, len(entries), key, len(entries))
    top = in_order(entries)[0]
    assert pop_all(keys, items) == in_order([entry for entry in entries if entry[0] != top] + [(len(entries), key)])
