"""What a Source promises, as tests to inherit."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from de_classes.contracts import Source, Split
from de_classes.testing.contract.elsewhere import in_a_fresh_process
from de_classes.testing.contract.sample import content, content_of
from de_classes.utils.checksum import Checksum, checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from de_classes.contracts import Position, Stream
    from de_classes.testing.contract.sample import Content

__all__ = ["SourceContract"]


class SourceContract:
    """What a Source promises. Override the fixtures `source` and `grown`; `stream` is the first unless overridden."""

    reaches_an_end: ClassVar[bool] = True
    """Whether a second run finds nothing new; False for sources without positions, which give everything each time."""
    grows: ClassVar[bool] = True
    """False where no test can add rows to what the source reads; then it is not asked whether ids tell them apart."""
    crosses_processes: ClassVar[bool] = True
    """False for a source that reads this process's memory; its splits then need not be readable elsewhere."""

    @pytest.fixture
    def source(self) -> Source:
        """The source under test, with at least one stream that has rows."""
        raise NotImplementedError("override the fixture `source`")

    @pytest.fixture
    def grown(self) -> Callable[[], Source]:
        """Adds rows to what the source reads and gives the source, or another one that reads the more."""
        if not self.grows:
            pytest.skip("no test can add rows to what this source reads")
        pytest.fail(
            "override the fixture `grown`: return a function that adds rows to what `source` reads, and returns the"
            " source (or another that reads the more). Where no test can do that, say so: grows = False",
            pytrace=False,
        )

    @pytest.fixture
    def stream(self, source: Source) -> Stream:
        """The stream that is read."""
        return source.streams()[0]

    def test_is_a_source(self, source: Source) -> None:
        """It has the methods of the contract and offers streams with distinct names."""
        assert isinstance(source, Source)
        names = [stream.name for stream in source.streams()]
        assert names
        assert len(names) == len(set(names))

    def test_planning_twice_gives_the_same_rows(self, source: Source, stream: Stream) -> None:
        """Two plans without a change outside hold the same rows, and splits of one id the same in the same order."""
        first, second = _taken(source, stream), _taken(source, stream)
        assert first.rows, "the source under test needs some rows"
        assert second.summed == first.summed
        assert (second.position is None) == (first.position is None)
        _see_that_ids_name_rows(first, second)

    def test_planning_twice_gives_the_same_order(self, source: Source, stream: Stream) -> None:
        """The order of a plan decides which row of a key wins, so it is the same in the next plan."""
        first, second = _taken(source, stream), _taken(source, stream)
        cuts, again = list(first.splits.values()), list(second.splits.values())
        if Counter(cuts) == Counter(again):
            assert again == cuts, "the splits of two plans are the same, but their order is not"
        assert _winners(second, stream) == _winners(first, stream), "another row of some key comes last in another plan"

    def test_positions_of_two_plans_mean_the_same(
        self, source: Source, stream: Stream, grown: Callable[[], Source]
    ) -> None:
        """Positions of two plans without a change may differ as values, but what comes since them does not."""
        first, second = _taken(source, stream).reached, _taken(source, stream).reached
        assert (second is None) == (first is None)
        if first is None or second is None:
            pytest.skip("this source has no positions")
        assert _taken(source, stream, second).summed == _taken(source, stream, first).summed
        more = grown()
        assert _taken(more, stream, second).summed == _taken(more, stream, first).summed

    def test_growing_gives_the_rest(self, source: Source, stream: Stream, grown: Callable[[], Source]) -> None:
        """Of rows that are added, each comes in the next plan; ids of splits tell them from what was read before."""
        before = _taken(source, stream)
        again = _taken(source, stream, before.reached)
        source = grown()
        after, since = _taken(source, stream), _taken(source, stream, before.reached)
        added = Counter(after.rows) - Counter(before.rows)
        assert added, "the fixture `grown` added no rows"
        assert not added - Counter(since.rows), "rows that were added do not come since the position reached before"
        assert not Counter(since.rows) - Counter(after.rows), "rows come that are not in the whole"
        if self.reaches_an_end:
            assert not _taken(source, stream, since.reached).rows
        _see_that_ids_name_rows(before, again, after, since)

    def test_split_ids_are_unique(self, source: Source, stream: Stream) -> None:
        """No two splits of a plan share an id, and an id stays what it is."""
        with source.plan(stream, None) as plan:
            ids = [split.id for split in plan.splits]
            assert all(isinstance(split, Split) for split in plan.splits)
            assert len(ids) == len(set(ids))
            assert ids == [split.id for split in plan.splits]

    def test_splits_read_again_alike(self, source: Source, stream: Stream) -> None:
        """Reading a split twice gives the same rows in the same order."""
        with source.plan(stream, None) as plan:
            for split in plan.splits:
                assert content_of(split) == content_of(split)

    def test_splits_pickle(self, source: Source, stream: Stream) -> None:
        """A split that went through pickle keeps its id and gives the same rows, also in a process that is fresh."""
        with source.plan(stream, None) as plan:
            for split in plan.splits:
                copy = pickle.loads(pickle.dumps(split))  # noqa: S301 -- our own pickle
                assert copy.id == split.id
                assert content_of(copy) == content_of(split)
            if self.crosses_processes:
                there = in_a_fresh_process(_contents, list(plan.splits))
                assert there == {split.id: content_of(split) for split in plan.splits}

    def test_batches_have_one_schema(self, source: Source, stream: Stream) -> None:
        """All batches of a stream have one schema: the stream's own where it declares one; keys are columns of it."""
        with source.plan(stream, None) as plan:
            schemas = [batch.records.schema for split in plan.splits for batch in split.read()]
        expected = stream.schema or schemas[0]
        assert all(schema.equals(expected) for schema in schemas)
        assert set(stream.primary_key) <= set(expected.names)

    def test_positions_are_small_json(self, source: Source, stream: Stream) -> None:
        """Every position survives JSON and stays under four kilobytes."""
        with source.plan(stream, None) as plan:
            positions = [batch.position for split in plan.splits for batch in split.read()] + [plan.position]
            assert plan.position is not None or len(plan.splits) <= 1
        for position in filter(None, positions):
            text = json.dumps(position)
            assert json.loads(text) == position
            assert len(text) < 4096  # noqa: PLR2004 -- the bound that the docstring states

    def test_a_second_run_finds_nothing(self, source: Source, stream: Stream) -> None:
        """Planning since the position that was reached gives no rows, and reaches that very position."""
        if not self.reaches_an_end:
            pytest.skip("this source has no positions")
        first = _taken(source, stream)
        assert first.reached is not None
        again = _taken(source, stream, first.reached)
        assert again.summed == Checksum.empty()
        assert again.reached is None or again.reached == first.reached, "every run would commit a new position"

    def test_resumes_at_every_position(self, source: Source, stream: Stream) -> None:
        """From any position that a batch carries, the source goes on with exactly the rest."""
        with source.plan(stream, None) as plan:
            batches = [batch for split in plan.splits for batch in split.read()]
            if plan.position is not None or all(batch.position is None for batch in batches):
                pytest.skip("the batches of this source carry no positions")
        seen = [_taken(source, stream)]
        for given in range(1, len(batches)):
            position = batches[given - 1].position
            if position is not None:
                rest = _taken(source, stream, json.loads(json.dumps(position)))
                assert rest.summed == checksum(batch.records for batch in batches[given:])
                seen.append(rest)
        _see_that_ids_name_rows(*seen)


@dataclass(frozen=True)
class _Taken:
    """What a plan held."""

    splits: Mapping[str, Content]
    """In the order of the plan."""
    batches: Sequence[pa.RecordBatch]
    position: Position | None
    reached: Position | None
    """The plan's position, or the last that a batch carried; as it comes back from JSON."""

    @property
    def summed(self) -> Checksum:
        return checksum(self.batches)

    @property
    def rows(self) -> list[str]:
        return [repr(sorted(row.items())) for batch in self.batches for row in batch.to_pylist()]


def _taken(source: Source, stream: Stream, since: Position | None = None) -> _Taken:
    """Read everything since a position."""
    splits: dict[str, Content] = {}
    batches: list[pa.RecordBatch] = []
    with source.plan(stream, since) as plan:
        reached = plan.position
        for split in plan.splits:
            read = list(split.read())
            splits[split.id] = content(batch.records for batch in read)
            batches += [batch.records for batch in read]
            if plan.position is None:
                reached = next((batch.position for batch in reversed(read) if batch.position is not None), reached)
        return _Taken(splits, batches, plan.position, json.loads(json.dumps(reached)))


def _contents(splits: Iterable[Split]) -> dict[str, Content]:
    return {split.id: content_of(split) for split in splits}


def _see_that_ids_name_rows(*plans: _Taken) -> None:
    known: dict[str, Content] = {}
    for plan in plans:
        for split_id, held in plan.splits.items():
            assert known.setdefault(split_id, held) == held, (
                f"split {split_id!r} holds other rows, or another order, than a split of that id in another plan:"
                " a run that resumes takes what was staged under it for its own"
            )


def _winners(taken: _Taken, stream: Stream) -> Mapping[Any, str]:
    """The last row of each key."""
    if not stream.primary_key:
        return {}
    rows = [row for batch in taken.batches for row in batch.to_pylist()]
    return {repr([row[name] for name in stream.primary_key]): repr(row) for row in rows}
