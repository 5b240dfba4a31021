from __future__ import annotations

import itertools
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from de_classes.storage.postgres.catalogue import Table
from de_classes.storage.postgres.described import Described

TABLE = Table(1, "r", 0, 0, has_children=False, primary_key=(), columns=(), with_defaults=frozenset())
DESCRIBED = Described("t", "public.t", '"public"."t"', (), TABLE, 180_000)


@given(st.integers(0, 10_000), st.integers(0, 10**9), st.integers(1, 10**9))
def test_ranges_follow_each_other_without_a_gap(blocks: int, size: int, split_bytes: int) -> None:
    """Each range begins where the last one ended; the first begins and the last ends nowhere."""
    described = replace(DESCRIBED, table=replace(TABLE, blocks=blocks, bytes=size))
    ranges = described.ranges(split_bytes)
    bounds = [(re.search(r">= '\((\d+),0\)'", where), re.search(r"< '\((\d+),0\)'", where)) for where in ranges]
    assert bounds[0][0] is None
    assert bounds[-1][1] is None
    for (_, end), (start, _) in itertools.pairwise(bounds):
        assert end is not None
        assert start is not None
        assert end[1] == start[1]
    ends = [int(end[1]) for _, end in bounds if end is not None]
    assert ends == sorted(set(ends))
    assert len(ranges) <= max(1, blocks, 1)


def test_what_has_no_pages_of_its_own_is_one_range() -> None:
    """Queries, views, partitioned tables, tables with children and old servers are read in one piece."""
    large = replace(TABLE, blocks=1000, bytes=8_192_000)
    assert len(replace(DESCRIBED, table=large).ranges(8192)) == 1000
    for table in (None, replace(large, kind="v"), replace(large, kind="p"), replace(large, has_children=True)):
        assert replace(DESCRIBED, table=table).ranges(8192) == [""]
    assert replace(DESCRIBED, table=large, server_version=130_000).ranges(8192) == [""]
