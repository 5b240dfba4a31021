from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError
from de_classes.storage.postgres import KeyHashes, KeyRanges
from de_classes.storage.postgres.catalogue import Table
from de_classes.storage.postgres.described import Described
from de_classes.storage.postgres.identifiers import TableName
from de_classes.storage.postgres.pieces import Leaf, pieces_of

TABLE = Table(1, "r", 0, 0, has_children=False, primary_key=(), columns=(), with_defaults=frozenset())
LEAF = Leaf(1, TableName("public", "t"), "r", 1000, 8_192_000, plain=True)
DESCRIBED = Described("t", "public.t", '"public"."t"', (), TABLE, 180_000, (LEAF,))


@given(st.integers(0, 10_000), st.integers(0, 10**9), st.integers(1, 10**9))
def test_ranges_follow_each_other_without_a_gap(blocks: int, size: int, split_bytes: int) -> None:
    """Each range begins where the last one ended; the first begins and the last ends nowhere."""
    described = replace(DESCRIBED, leaves=(replace(LEAF, blocks=blocks, bytes=size),))
    ranges = [piece.where for piece in pieces_of(described, split_bytes)]
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


def test_what_has_no_pages_of_its_own_is_one_piece() -> None:
    """Queries, views, what a policy guards, leaves that may not be read, and old servers are read in one piece."""
    assert len(pieces_of(DESCRIBED, 8192)) == 1000
    for described in (
        replace(DESCRIBED, table=None, leaves=()),
        replace(DESCRIBED, leaves=()),
        replace(DESCRIBED, table=replace(TABLE, row_security=True)),
        replace(DESCRIBED, leaves=(replace(LEAF, plain=False),)),
        replace(DESCRIBED, server_version=130_000),
    ):
        assert [(piece.origin, piece.where) for piece in pieces_of(described, 8192)] == [('"public"."t"', "")]


@given(st.lists(st.tuples(st.sampled_from("rrrf"), st.integers(0, 300)), min_size=2, max_size=30))
def test_each_leaf_is_in_one_piece_or_cut_into_ranges(sizes: list[tuple[str, int]]) -> None:
    """Small leaves share pieces of the size that is wanted, large ones are cut, and none is left out or read twice."""
    leaves = tuple(
        Leaf(n, TableName("s", f"leaf_{n}"), kind, blocks, blocks * 8192, plain=True)
        for n, (kind, blocks) in enumerate(sizes, 2)
    )
    pieces = pieces_of(replace(DESCRIBED, leaves=leaves), 100 * 8192)
    for leaf in leaves:
        ranges = [piece.where for piece in pieces if leaf.name.sql in piece.origin]
        assert len(ranges) == (1 if leaf.kind == "f" else max(1, -(-leaf.blocks // 100)))
        assert len(set(ranges)) == len(ranges)
    named = [piece.origin.count("FROM ONLY") or 1 for piece in pieces if "ctid >=" not in piece.where]
    assert sum(named) == len(leaves)


@pytest.mark.parametrize("pieces", [0, -1, True, 1.5])
@pytest.mark.parametrize("cut", [KeyHashes, KeyRanges])
def test_pieces_are_counted(cut: type[KeyHashes | KeyRanges], pieces: int) -> None:
    """Less than one piece, or a part of one, is the user's mistake."""
    with pytest.raises(ConfigurationError, match="above 0"):
        cut("id", pieces)
