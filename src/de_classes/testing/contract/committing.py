"""What a Destination promises about commits: all or nothing, interrupted or not, alone or beside other live loads."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import CountMismatch, Overtaken
from de_classes.testing.contract.elsewhere import in_time
from de_classes.testing.contract.interrupting import Interrupted, Lines
from de_classes.testing.contract.loading import (
    ANOTHER,
    ORDERS,
    PIPELINE,
    Loading,
    breaking,
    loaded,
    orders,
    written,
)

if TYPE_CHECKING:
    from de_classes.contracts import Destination, Position
    from de_classes.testing.contract.interrupting import Line
    from de_classes.testing.contract.loading import (
        Leftovers,
        ReadBack,
    )

__all__ = ["CommittingContract"]


class CommittingContract(Loading):
    """Nothing before the commit, everything with it, and no harm to others."""

    def test_nothing_is_visible_before_the_commit(self, destination: Destination, read_back: ReadBack) -> None:
        """Rows and position appear with the commit, not with the writing."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            receipts = written(load, orders(1, 3), orders(4, 2))
            assert self.visible(read_back) == []
            assert destination.position(PIPELINE, ORDERS) is None
            load.commit(receipts, {"day": 1})
        assert self.keys(read_back) == [1, 2, 3, 4, 5]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_leaving_without_a_commit_shows_nothing(self, destination: Destination, read_back: ReadBack) -> None:
        """A load that is left, or fails in the middle of a split, changes nothing that can be seen."""
        loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            written(load, orders(10, 3))
        with pytest.raises(ConnectionResetError), destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            load.write("broken", breaking(orders(20, 3)))
        assert self.keys(read_back) == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_half_a_piece_is_no_piece(
        self, destination: Destination, read_back: ReadBack, leftovers: Leftovers
    ) -> None:
        """A piece whose batches raised is offered to nobody, wherever the error ended, and leaves nothing for ever."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            with pytest.raises(ConnectionResetError):
                load.write("broken", breaking(orders(20, 3), orders(23, 3)))
            with pytest.raises(ConnectionResetError):
                load.write("broken at once", breaking())
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {}, "half a piece is offered as a whole one"
            load.commit([load.write("broken", iter([Batch(orders(1, 2))]))], {"day": 1})
        assert self.keys(read_back) == [1, 2]
        assert list(leftovers()) == []

    def test_pieces_are_of_one_pipeline_and_stream(self, destination: Destination) -> None:
        """What an interrupted load of another pipeline, or into another stream, has written is not offered."""
        with destination.begin(ANOTHER, ORDERS, Mode.APPEND) as load:
            written(load, orders(1, 2))
        with destination.begin(PIPELINE, Stream("others", ("id",)), Mode.APPEND) as load:
            written(load, orders(1, 2))
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {}

    def test_the_next_commit_removes_what_was_left(
        self, destination: Destination, read_back: ReadBack, leftovers: Leftovers
    ) -> None:
        """After an abandoned load, the next commit holds its own rows only, and nothing is left lying about."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            written(load, orders(10, 3), named="abandoned")
            assert list(leftovers()), "the fixture `leftovers` does not see what a load has written and not committed"
        loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1})
        assert self.keys(read_back) == [1, 2]
        assert list(leftovers()) == []

    def test_an_interrupted_load_is_taken_over(self, destination: Destination, read_back: ReadBack) -> None:
        """Pieces that a load wrote completely before it was interrupted are offered to the next one."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            receipts = written(load, orders(1, 2), orders(3, 2))
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            staged = dict(load.staged)
            if staged:
                assert {split_id: receipt.rows for split_id, receipt in staged.items()} == {
                    receipt.split_id: receipt.rows for receipt in receipts
                }
                load.commit([staged[receipt.split_id] for receipt in receipts], {"day": 1})
            else:
                load.commit(written(load, orders(1, 2), orders(3, 2)), {"day": 1})
        assert self.keys(read_back) == [1, 2, 3, 4]
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {}

    def test_of_two_loads_one_commits(self, destination: Destination, read_back: ReadBack) -> None:
        """The run that was overtaken fails, however late it wakes, and harms nothing."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as late:
            receipts = written(late, orders(10, 2), named="late")
            self.beside(lambda: loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1}))
            with pytest.raises(Overtaken):
                late.commit(receipts, {"day": 99})
        assert self.keys(read_back) == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_what_an_overtaken_load_writes_goes_too(self, destination: Destination, leftovers: Leftovers) -> None:
        """What a load writes after it was overtaken is removed by the loads that follow."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as late:
            self.beside(lambda: loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1}))
            receipts = written(late, orders(10, 2), named="late")
            with pytest.raises(Overtaken):
                late.commit(receipts, {"day": 99})
        loaded(destination, Mode.APPEND, orders(3, 2), position={"day": 2})
        assert list(leftovers()) == []

    @pytest.mark.parametrize("pipeline", [PIPELINE, ANOTHER])
    def test_a_load_that_is_left_harms_no_live_one(
        self, destination: Destination, read_back: ReadBack, pipeline: str
    ) -> None:
        """A load that begins and is left without a commit leaves alone what another live load has written."""
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as live:
            receipts = written(live, orders(1, 2), named="live")
            self.beside(lambda: self._left(destination, pipeline))
            live.commit(receipts, {"day": 1})
        assert self.keys(read_back) == [1, 2]

    def test_a_commit_leaves_other_pipelines_alone(self, destination: Destination, read_back: ReadBack) -> None:
        """What another pipeline's live load has written survives a commit, and can be committed after it."""
        with destination.begin(ANOTHER, ORDERS, Mode.APPEND) as live:
            receipts = written(live, orders(10, 2))
            self.beside(lambda: loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1}))
            live.commit(receipts, {"day": 7})
        assert self.keys(read_back) == [1, 2, 10, 11]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}
        assert destination.position(ANOTHER, ORDERS) == {"day": 7}

    def _left(self, destination: Destination, pipeline: str) -> None:
        with destination.begin(pipeline, ORDERS, Mode.APPEND) as load:
            written(load, orders(20, 1), named="left")

    @pytest.mark.parametrize("wrong_by", [1, -1])
    def test_rows_are_counted_before_they_are_shown(
        self, destination: Destination, read_back: ReadBack, wrong_by: int
    ) -> None:
        """A receipt that promises another number of rows than were written is refused, with all that come with it."""
        loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            *right, last = written(load, orders(3, 2), orders(5, 2), orders(7, 3))
            with pytest.raises(CountMismatch):
                load.commit([*right, replace(last, rows=last.rows + wrong_by)], {"day": 2})
            assert self.keys(read_back) == [1, 2]
        assert self.keys(read_back) == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_a_commit_that_fails_shows_nothing(self, destination: Destination, read_back: ReadBack) -> None:
        """A position that cannot be kept fails the commit before any of its rows is seen."""
        loaded(destination, Mode.APPEND, orders(1, 2), position={"day": 1})
        with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
            receipts = written(load, orders(3, 2))
            with pytest.raises(Exception):  # noqa: B017, PT011 -- whichever it is
                load.commit(receipts, {"day": object()})  # type: ignore[dict-item]  # no JSON
        assert self.keys(read_back) == [1, 2]
        assert destination.position(PIPELINE, ORDERS) == {"day": 1}

    def test_a_commit_may_be_interrupted_anywhere(
        self, destination: Destination, read_back: ReadBack, leftovers: Leftovers
    ) -> None:
        """Interrupted at any line of its code, a commit has shown its rows and its position, or neither."""
        lines = self._commit_stopped(destination, 0, None)
        step = -(-len(lines) // self.interruptions) or 1
        before: tuple[list[int], Position | None] = [0], {"day": 0}
        for day, line in enumerate(lines[::step], 1):
            self._commit_stopped(destination, day, line)
            seen = self.keys(read_back), destination.position(PIPELINE, ORDERS)
            assert seen in [before, ([*before[0], day], {"day": day})], f"the commit was interrupted at {line}"
            before = seen
        loaded(destination, Mode.APPEND, orders(9999, 1), position={"day": 9999})
        assert self.keys(read_back) == [*before[0], 9999]
        assert list(leftovers()) == []

    def _commit_stopped(self, destination: Destination, day: int, line: Line | None) -> list[Line]:
        """Load a row, and stop the commit at the line; gives the lines that were passed."""

        def load_it() -> list[Line]:
            with destination.begin(PIPELINE, ORDERS, Mode.APPEND) as load:
                receipts = written(load, orders(day, 1), named=f"day {day}")
                lines = Lines((destination, load), line)
                with suppress(Interrupted), lines.passed():
                    load.commit(receipts, {"day": day})
            return list(lines.seen)

        return in_time(load_it, self.patience, "a load stands still after the commit before it was interrupted")
