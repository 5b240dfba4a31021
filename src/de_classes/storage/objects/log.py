"""The commit log: which files a dataset consists of, and how far each pipeline has taken it.

A dataset is a folder::

    orders/_commits/00000000000000000001.json      one object per commit, created by a conditional put
    orders/_commits/checkpoints/*.json             the state as of every 64th commit, so that the log opens fast
    orders/data/3f0c52a1b9de-0000000000/*.parquet  the files that commits list, by pipeline and epoch
    orders/_quarantine/3f0c52a1b9de-0000000000/*   those with the records that do not fit
    orders/_staged/3f0c52a1b9de-0000000001/*.json  what loads that are under way have written completely

The entry with the highest number tells, alone, the position and epoch of every pipeline, the schema, and at which
number the present state began. The files of the present state are those listed from there on, without those that later
entries drop or rewrite. Each keeps the columns that it was written with; where the dataset's have grown since, it is
read under the schema of the newest entry. Times of entries never go back.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

from de_classes.errors import DatasetError, ObjectExists, ObjectNotFound, StoreError, UnsafeStore
from de_classes.storage.objects._checkpoints import EVERY, Checkpoints
from de_classes.storage.objects._commit import COMPACTION, Commit, DataFile, Progress
from de_classes.storage.objects._entry import decode, decode_schema, encode, encode_schema
from de_classes.storage.objects._keys import join
from de_classes.storage.objects._state import State
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from de_classes.storage.objects.store import ObjectStore

__all__ = [
    "COMPACTION",
    "Commit",
    "CommitLog",
    "DataFile",
    "Progress",
    "decode",
    "decode_schema",
    "encode",
    "encode_schema",
]

_AT_ONCE = 8
_PAGE = 1000
"""Entries that a store lists in one answer: who has not seen the end by then looks for a checkpoint."""

Build: TypeAlias = Callable[["Commit | None"], Commit]
"""What the next commit is, given the newest. Raises when there is none any more."""


class CommitLog:
    """The commits of the dataset in the folder `prefix` of a store. Touches nothing until it is asked."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._folder = join(prefix, "_commits")
        self._checkpoints = Checkpoints(store, join(self._folder, "checkpoints"))
        self._seen = 0

    @property
    def folder(self) -> str:
        """Where the entries are."""
        return self._folder

    def newest(self) -> Commit | None:
        """The last commit, None before the first. A listing or three and one read, however long the log is."""
        # A log only grows, so what this object has seen once need not be listed again.
        highest = self._highest(self._seen)
        if not highest and self._seen:
            there = self._look(self._seen)
            if there is not None:
                return there  # the store lists late
            self._seen, highest = 0, self._highest(0)  # somebody removed the dataset meanwhile
        if not highest:
            return None
        newest = self.read(highest)
        self._seen = newest.number
        return newest

    def as_of(self, moment: int | datetime) -> Commit | None:
        """The commit of that number, or the last one that was made by that time; None where there is none."""
        if isinstance(moment, int):
            return self._look(moment) if moment > 0 else None
        newest = self.newest()
        if newest is None:
            return None
        low, high = 0, newest.number  # times never go back, so halving finds it
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.read(middle).at <= moment else (low, middle - 1)
        return self.read(low) if low else None

    def state(self, commit: Commit) -> State:
        """The files that the dataset consists of as of a commit."""
        state, first = State(), commit.base
        if commit.number - first >= EVERY:
            number = self._checkpoints.last(at_most=commit.number)
            found = self._checkpoints.read(number) if number >= first else None
            if found is not None and self.read(number).id == found[0]:
                state, first = found[1], number + 1
        if first <= commit.number:
            for each in (*self.between(first, commit.number - 1), commit):
                state.add(each)
        return state

    def read(self, number: int) -> Commit:
        """The commit of that number.

        Raises:
            DatasetError: it is not there, or cannot be what this package wrote.

        """
        commit = self._look(number)
        if commit is None:
            raise DatasetError(
                self._url(number), "the commit is missing", "Restore the object; without it the dataset is incomplete."
            )
        return commit

    def between(self, first: int, last: int) -> Sequence[Commit]:
        """The commits from `first` up to and with `last`, in order."""
        if last < first:
            return []
        with ThreadPoolExecutor(min(_AT_ONCE, last - first + 1), "commit-log") as readers:
            return list(readers.map(self.read, range(first, last + 1)))

    def append(self, build: Build) -> Commit:
        """Add the commit that `build` makes of the newest one; again and again while others come first.

        An answer that was lost is looked up: the commit counts if the entry of its number has its id.

        Raises:
            UnsafeStore: the store said that it had made the entry, and has another one there, or none.

        """
        newest = self.newest()
        while True:
            commit = build(newest)
            there = self._added(commit)
            if there.id == commit.id:
                break
            newest = self._from(there)
        self._seen = commit.number
        if commit.number % EVERY == 0:
            reach("dataset.checkpoint.before_put")
            self._checkpoints.write(commit, self.state(commit))
        return commit

    def of_epoch(self, pipeline: str, epoch: int) -> Commit | None:
        """The commit with which a pipeline ended an epoch; None if it has not."""
        at = self.newest()
        while at is not None and pipeline in at.pipelines and at.pipelines[pipeline].epoch > epoch:
            last = at.pipelines[pipeline]
            if last.epoch == epoch + 1:
                return self.read(last.commit)
            at = self.read(last.commit - 1)
        return None

    def _added(self, commit: Commit) -> Commit:
        """What stands under the commit's number, having tried to put it there."""
        reach("dataset.commit.before_put")
        try:
            self._store.put(self._key(commit.number), encode(commit), create_only=True)
        except ObjectExists:
            return self.read(commit.number)
        except StoreError:
            try:
                there = self._look(commit.number)
            except StoreError:
                there = None
            if there is None:
                raise
            return there
        reach("dataset.commit.after_put")
        self._see_kept(commit)
        return commit

    def _see_kept(self, commit: Commit) -> None:
        """Read back what the store says it made: some only pretend."""
        try:
            there = self._look(commit.number)
        except StoreError:
            return  # it cannot be asked now, and what it said stands
        if there is None or there.id != commit.id:
            raise UnsafeStore(
                self._url(commit.number),
                "the store said that it had made the commit, and " + ("it is not there" if there is None else _OTHER),
                "Load into another store; and look at what this one keeps before you go on with it.",
            )

    def _from(self, there: Commit) -> Commit:
        """The newest commit, which is `there` or a later one, also where the store lists late."""
        newest = self.newest()
        if newest is not None and newest.number >= there.number:
            return newest
        while (following := self._look(there.number + 1)) is not None:
            there = following
        return there

    def _highest(self, seen: int) -> int:
        """The highest number that is listed, 0 if there is none; from one on that was seen."""
        highest = 0
        after = self._key(seen - 1) if seen > 1 else ""
        for n, info in enumerate(self._store.list(self._folder, after=after), 1):
            highest = max(highest, _number(info.key))
            if n == _PAGE and (last := self._checkpoints.last()) > highest:
                return max(last, self._highest(last))
        return highest

    def _look(self, number: int) -> Commit | None:
        try:
            data = self._store.get(self._key(number))
        except ObjectNotFound:
            return None
        commit = decode(data, self._url(number))
        if commit.number != number:
            raise DatasetError(self._url(number), f"it says that it is number {commit.number}", "Restore the object.")
        return commit

    def _key(self, number: int) -> str:
        return join(self._folder, f"{number:020}.json")

    def _url(self, number: int) -> str:
        return f"{self._store.url}/{self._key(number)}"


_OTHER = "another one stands in its place, as if it ignored If-None-Match"


def _number(key: str) -> int:
    name, _, suffix = key.rpartition("/")[2].partition(".")
    return int(name) if suffix == "json" and len(name) == 20 and name.isascii() and name.isdigit() else 0  # noqa: PLR2004 -- as _key writes it


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.log")
