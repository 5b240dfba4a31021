"""The commit log: which files a dataset consists of, and how far each pipeline has taken it.

A dataset is a folder::

    orders/_commits/00000000000000000001.json      one object per commit, created by a conditional put
    orders/data/3f0c52a1b9de-0000000000/*.parquet  the files that commits list, by pipeline and epoch
    orders/_quarantine/3f0c52a1b9de-0000000000/*   those with the records that do not fit
    orders/_staged/3f0c52a1b9de-0000000001/*.json  what loads that are under way have written completely

The entry with the highest number tells, alone, the position and epoch of every pipeline, the schema, and at which
number the present state began. The files of the present state are those listed from there on. Each keeps the columns
that it was written with; where the dataset's have grown since, it is read under the schema of the newest entry.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime  # noqa: TC003 -- msgspec looks annotations up
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import pyarrow as pa

from de_classes.contracts import Mode  # noqa: TC001 -- msgspec looks annotations up
from de_classes.errors import DatasetError, ObjectExists, ObjectNotFound, StoreError
from de_classes.storage.objects._keys import join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects.store import ObjectStore

__all__ = [
    "Commit",
    "CommitLog",
    "DataFile",
    "Progress",
    "decode",
    "decode_schema",
    "encode",
    "encode_schema",
]

_FORMAT = 1
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that a commit adds."""

    key: str
    """Relative to the dataset's folder."""
    rows: int
    bytes: int
    memory: int
    """What its rows took in memory when they were written, in bytes."""
    checksum: str
    """Of the file's bytes, such as `sha256:…`."""
    values: str | None = None
    """A checksum of the values that does not depend on their order, where one was taken."""
    columns: str | None = None
    """A checksum of the columns that it was written with, which may be fewer and narrower than its commit's."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one pipeline has come with a dataset."""

    position: Mapping[str, JsonValue] | None
    epoch: int
    """How many commits it has made."""
    commit: int
    """The number of its last one."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry of the log."""

    number: int
    id: str
    """Unlike the number, no two attempts share it: an outcome that is unknown is looked up by it."""
    pipeline: str
    mode: Mode
    at: datetime
    base: int
    """The number of the commit at which the present state begins: the last one that replaced, or the first."""
    rows: int
    """Rows of the whole dataset with this commit."""
    schema: pa.Schema | None
    """The columns of the whole dataset with this commit; a file may have fewer, and narrower ones."""
    primary_key: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()
    pipelines: Mapping[str, Progress] = field(default_factory=dict)
    rejected: tuple[DataFile, ...] = ()
    """The files of this commit with records that do not fit, as `de_classes.utils.quarantine.REJECTED` has them."""

    @property
    def rejected_records(self) -> int:
        """How many records went to quarantine with this commit."""
        return sum(file.rows for file in self.rejected)


Build: TypeAlias = Callable[["Commit | None"], Commit]
"""What the next commit is, given the newest. Raises when there is none any more."""


class CommitLog:
    """The commits of the dataset in the folder `prefix` of a store. Touches nothing until it is asked."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._folder = join(prefix, "_commits")
        self._seen = 0

    @property
    def folder(self) -> str:
        """Where the entries are."""
        return self._folder

    def newest(self) -> Commit | None:
        """The last commit, None before the first. One listing and one read, however long the log is known to be."""
        # A log only grows, so what this object has seen once need not be listed again.
        after = self._key(self._seen - 1) if self._seen > 1 else ""
        numbers = [number for info in self._store.list(self._folder, after=after) if (number := _number(info.key))]
        if not numbers and after:
            self._seen = 0  # somebody removed the dataset meanwhile
            return self.newest()
        if not numbers:
            return None
        newest = self.read(max(numbers))
        self._seen = newest.number
        return newest

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
        """
        while True:
            commit = build(self.newest())
            if self._added(commit):
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

    def _added(self, commit: Commit) -> bool:
        try:
            self._store.put(self._key(commit.number), encode(commit), create_only=True)
        except ObjectExists:
            there: Commit | None = self.read(commit.number)
        except StoreError:
            try:
                there = self._look(commit.number)
            except StoreError:
                there = None
            if there is None:
                raise
        else:
            return True
        return there is not None and there.id == commit.id

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


def encode_schema(schema: pa.Schema | None) -> str | None:
    """A schema with all its metadata as text: base64 of Arrow's IPC form."""
    return None if schema is None else base64.b64encode(schema.serialize()).decode()


def decode_schema(text: str | None) -> pa.Schema | None:
    """The schema of `encode_schema`. Raises ValueError if it is not one."""
    if text is None:
        return None
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (pa.ArrowException, OSError, EOFError, binascii.Error) as error:
        raise ValueError("`schema` is no Arrow schema") from error


class _Progress(msgspec.Struct, frozen=True):
    position: dict[str, Any] | None
    epoch: int
    commit: int


class _File(msgspec.Struct, frozen=True, omit_defaults=True):
    key: str
    rows: int
    bytes: int
    memory: int
    checksum: str
    values: str | None = None
    columns: str | None = None


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    format: int
    number: int
    id: str
    pipeline: str
    mode: Mode
    at: datetime
    base: int
    rows: int
    # Fields named `schema` would hide a name of msgspec's.
    schema_: str | None = msgspec.field(name="schema")
    primary_key: tuple[str, ...]
    files: tuple[_File, ...]
    pipelines: dict[str, _Progress]
    rejected: tuple[_File, ...] = ()


def encode(commit: Commit) -> bytes:
    """The commit as JSON."""
    return msgspec.json.encode(
        _Entry(
            format=_FORMAT,
            number=commit.number,
            id=commit.id,
            pipeline=commit.pipeline,
            mode=commit.mode,
            at=commit.at.astimezone(UTC),
            base=commit.base,
            rows=commit.rows,
            schema_=encode_schema(commit.schema),
            primary_key=commit.primary_key,
            files=tuple(map(_entry_of, commit.files)),
            pipelines={
                name: _Progress(dict(p.position) if p.position is not None else None, p.epoch, p.commit)
                for name, p in commit.pipelines.items()
            },
            rejected=tuple(map(_entry_of, commit.rejected)),
        )
    )


def decode(data: bytes, where: str) -> Commit:
    """The commit that `data` tells of; `where` names the object in errors.

    Raises:
        DatasetError: it is not what `encode` gives, or was written by a later version of this package.

    """
    try:
        entry = msgspec.json.decode(data, type=_Entry)
        schema = decode_schema(entry.schema_)
        _check(entry)
    except ValueError as error:
        raise DatasetError(where, f"it is no commit: {error}", "Restore the object as it was written.") from error
    return Commit(
        number=entry.number,
        id=entry.id,
        pipeline=entry.pipeline,
        mode=entry.mode,
        at=entry.at,
        base=entry.base,
        rows=entry.rows,
        schema=schema,
        primary_key=entry.primary_key,
        files=tuple(map(_file_of, entry.files)),
        pipelines={name: Progress(p.position, p.epoch, p.commit) for name, p in entry.pipelines.items()},
        rejected=tuple(map(_file_of, entry.rejected)),
    )


def _entry_of(file: DataFile) -> _File:
    return _File(file.key, file.rows, file.bytes, file.memory, file.checksum, file.values, file.columns)


def _file_of(entry: _File) -> DataFile:
    return DataFile(entry.key, entry.rows, entry.bytes, entry.memory, entry.checksum, entry.values, entry.columns)


def _check(entry: _Entry) -> None:
    if entry.format > _FORMAT:
        raise ValueError(f"its format {entry.format} is of a later version; update de-classes")
    if not 1 <= entry.base <= entry.number or not entry.id or entry.at.tzinfo is None:
        raise ValueError("its number, base, id or time cannot be")
    if any(
        min(f.rows, f.bytes, f.memory) < 0 or f.key.startswith("/") or ".." in f.key.split("/")
        for f in (*entry.files, *entry.rejected)
    ):
        raise ValueError("a file in it cannot be")
    if any(p.epoch < 1 or not 1 <= p.commit <= entry.number for p in entry.pipelines.values()):
        raise ValueError("a pipeline in it cannot be")


def _number(key: str) -> int:
    name, _, suffix = key.rpartition("/")[2].partition(".")
    return int(name) if suffix == "json" and len(name) == 20 and name.isascii() and name.isdigit() else 0  # noqa: PLR2004 -- as _key writes it
