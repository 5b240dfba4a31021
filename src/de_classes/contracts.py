"""The seven nouns of de-classes, and the events that tell of them.

This file is all that is needed to write a source or a destination: both are plain classes with these methods, nothing
is inherited and nothing is registered. `de_classes.testing.contract` then puts them through what the runner relies on.

How a run goes, for one stream::

    with destination.begin(pipeline, stream, mode) as load:         # others may begin too: who commits first wins
        since = destination.position(pipeline, stream)              # how far did the last commit take it?
        with source.plan(stream, since) as plan:
            receipts = [load.write(split.id, split.read()) for split in plan.splits]    # in workers, any order
            load.commit(receipts, plan.position)                    # all or nothing, together with the position

The only moment that matters is the commit: before it nothing is visible, with it everything is, the position included.
A process that dies at any instant is run again and goes on from the position of the last commit.

Errors are those of `de_classes.errors`, or derived from them: a destination raises `SchemaMismatch`, `CountMismatch`,
`Overtaken` and `ValueNotHeld` as said below, and `ConfigurationError` for what the user asked for and cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pyarrow as pa

__all__ = [
    "Batch",
    "Checks",
    "Committed",
    "Destination",
    "Event",
    "Expects",
    "Item",
    "JsonValue",
    "Ledger",
    "Load",
    "Mode",
    "Observer",
    "Plan",
    "PlansItems",
    "Position",
    "Previews",
    "Receipt",
    "Remembers",
    "Retried",
    "RunFailed",
    "RunFinished",
    "RunStarted",
    "Source",
    "Split",
    "SplitFinished",
    "SplitProgressed",
    "SplitStarted",
    "Stream",
    "StreamFailed",
    "StreamFinished",
    "StreamStarted",
    "Takes",
    "Transform",
]

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

Position: TypeAlias = Mapping[str, JsonValue]
"""How far a stream has been taken: a small JSON mapping that only its source understands.

It is stored by the destination in the same commit as the data, so it must stay small for ever: a watermark, a page, a
commit number; never a set of seen keys. It must survive JSON: equal after `json.loads(json.dumps(position))`.
"""

Ledger: TypeAlias = "Callable[[Sequence[str]], Mapping[str, str]]"
"""Tells of items, by name, in which version each was loaded last; those that never were are missing in the answer."""

Transform: TypeAlias = "Callable[[pa.RecordBatch], pa.RecordBatch]"
"""Anything that takes a batch of records and returns one.

It sees one batch at a time, may drop, add or change rows and columns, and must be picklable where workers are
processes. Given the same batch it returns the same rows, and every batch it returns of one stream has the same schema,
also when there are no rows. What needs the whole table (sort, deduplicate, join, aggregate) is SQL, before or after.
"""


class Mode(StrEnum):
    """What a load does to the rows that the destination already holds."""

    APPEND = "append"
    """They stay; the new rows are added."""
    REPLACE = "replace"
    """They go, in the same commit that makes the new rows visible."""
    MERGE = "merge"
    """Rows with the primary key of a new row are updated to it; others are added. Within a load the last one wins.

    A stream without a primary key cannot be merged: `begin` raises ConfigurationError, as for a mode that a destination
    lacks. Null is no key: a row with a null in its key fails the load.
    """
    HISTORY = "history"
    """Every version of a row is kept: a row whose key is there with other values closes the version before it, and is
    added as the current one (a slowly changing dimension of type 2). It needs a primary key, as a merge does."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One table-like flow of a source, and the table, dataset or topic of that name in a destination."""

    name: str
    primary_key: tuple[str, ...] = ()
    """Columns that together identify a row; needed to merge."""
    schema: pa.Schema | None = None
    """The columns, where they are known before any row is read.

    A destination makes an empty table of them when a commit brings no rows; where they are not known, there is nothing
    to make until rows come.
    """


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a stream that is loaded once and whole, such as a file that somebody put into a folder.

    A position cannot tell which items were loaded, since they come in any order and are changed later. The destination
    remembers each in the commit of its rows, where it can (`Remembers`).
    """

    name: str
    """Names it among the items of the stream, for ever: a file's key."""
    version: str
    """Another one whenever the content is another: a file's etag and size."""
    column: str | None = None
    """The column that has the item's name in each of its rows. When a commit brings an item in another version than the
    one remembered, the rows that came with the former are deleted by it; None: they stay."""
    place: str | None = None
    """What its rejected records have as their place, before `, line 7`: those that came with the former go likewise."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of a stream, and perhaps the position that the stream has reached with them.

    A position here says: with this batch and all before it from the same split, the stream has reached this point, and
    a run that starts `since` it yields exactly the rest. Batches without records may carry one too; where no
    columns are known yet, one without columns does. Where batches carry
    positions, the last rows of a split come with one.
    """

    records: pa.RecordBatch
    position: Position | None = None
    rejected: pa.RecordBatch | None = None
    """Records that belong here and do not fit, as `de_classes.utils.quarantine.REJECTED` has them. A destination keeps
    them beside the stream, in the same commit: nothing is dropped in silence."""
    alive: pa.RecordBatch | None = None
    """Primary keys of rows that exist at the source, in a plan that is `alive`: whatever else a destination holds was
    deleted there. Columns are named and typed as those of the stream."""
    items: tuple[Item, ...] = ()
    """Items that are complete with this batch: all their rows have been given, in it or before it, by this split."""
    checksum: str | None = None
    """Where values are verified: the sum (`de_classes.utils.checksum`) of all rows of the piece up to and with these,
    in 32 hexadecimal digits. The runner's, for the receipt."""


@runtime_checkable
class Split(Protocol):
    """An independent piece of a stream. Picklable; opens what it needs when it is read."""

    @property
    def id(self) -> str:
        """Names the content: two splits with this id, in this run or a later one, give the same rows in the same order.

        A destination may therefore keep what an interrupted run wrote of a split and not ask for it again. "part-0" is
        no such name, unless it holds the same rows whatever `since` is and however the source grows. A source whose
        reading depends on the moment (a snapshot, an open query) puts that moment into the id, and one that cannot
        tell takes a new id each time: nothing is then resumed, and nothing is wrong.
        """
        ...

    def read(self) -> Iterator[Batch]:
        """The rows, in batches of one schema. Can be called again, and gives the same rows in the same order.

        Raises PlanLost where what the plan kept alive for its splits is gone: the runner plans once more.

        Where the plan has no position, so that this is its only split, the schema may grow on the way, as that of an
        API does: later batches then have columns more, or wider ones. The runner writes a piece for each schema.
        """
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The work between a position and the present, cut into splits that may be read in any order, by anyone, at once.

    The order of `splits` is the order of the rows where that matters (a merge lets the last one win), so it is the same
    in the next plan. Ids are unique.
    """

    splits: Sequence[Split]
    position: Position | None = None
    """Where the stream stands once every split is committed. None: only the batches know, and there is one split at
    most; the runner then may commit several times on the way, at positions that batches carry."""
    anew: bool = False
    """Whether the splits hold the whole stream although `since` was given, since what was read until then is no longer
    part of it (a dataset that was replaced). The runner only loads such a plan where it replaces."""
    whole: bool = False
    """Whether the splits hold the whole stream whatever `since` was, as of a table that is read from front to back. The
    runner appends such a plan once, and then only replaces or merges with it."""
    repeats: bool = False
    """Whether rows that were given before `since` may come again, changed or not (a window that overlaps the last one).
    The runner then only merges with the plan, or replaces."""
    alive: bool = False
    """Whether the splits, beside rows, give the keys of all rows that exist at this moment (`Batch.alive`), as one
    snapshot has them. A merge then deletes the rows of the target that have none of these keys, and a history closes
    them, in the same commit; the runner does nothing else with such a plan."""


@runtime_checkable
class Source(Protocol):
    """Where streams come from. Constructing one touches nothing outside; `plan` does."""

    def streams(self) -> Sequence[Stream]:
        """The streams on offer. May ask the outside world."""
        ...

    def plan(self, stream: Stream, since: Position | None) -> AbstractContextManager[Plan]:
        """Plan what came after `since` (None: everything).

        What the splits share (an exported snapshot, a login) lives as long as the context. Planning twice without a
        change outside gives splits with the same rows. The positions of the two plans may differ as values (the number
        of a snapshot), but not in what comes since them, now or when the source has grown. When nothing is new, the
        plan has no splits, or its splits have no rows, and its position is `since` (or None): the runner commits
        whatever differs. Plans that are `whole` are exempt from this last rule.

        Observers are the runner's, and are not handed over. A source that wants to tell `Retried` takes an observer
        where it is constructed, as ApiClient does.
        """
        ...


@runtime_checkable
class PlansItems(Protocol):
    """A source whose streams are made of items, and that plans only those that were not loaded yet."""

    def plan_items(self, stream: Stream, since: Position | None, ledger: Ledger) -> AbstractContextManager[Plan]:
        """Plan what the ledger does not have, or has in another version.

        Where the runner replaces, or the destination remembers no items, it calls `plan`, which gives all of them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a load says it wrote for one split, small enough to travel between machines and to be kept in a ledger."""

    split_id: str
    rows: int
    bytes: int
    """Bytes as the destination stores or sends them (a Parquet file's size, the length of a COPY): above 0 where there
    are rows. It is told to people, and nothing is decided by it."""
    schema: pa.Schema | None
    """The schema of the batches; None when the split gave no batch."""
    position: Position | None = None
    """The position of the last batch that carried one."""
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    """What the destination needs in order to commit: names of files, of a staging table."""
    rejected: int = 0
    """How many records of the split are kept beside the stream since they do not fit."""
    alive: int | None = None
    """How many keys of existing rows the split gave; None where it gave none, being no part of such a plan."""
    items: tuple[Item, ...] = ()
    """The items that are complete with the split."""
    checksum: str | None = None
    """That of the last batch: of the values as they were handed over."""
    left_out: int = 0
    """How many of the rows that were handed over the destination cannot hold, and keeps as rejected records instead."""
    replaced: int = 0
    """How many rows have null where the destination cannot hold their value: they are written, and kept as they came
    among the rejected records."""


@runtime_checkable
class Load(Protocol):
    """One transaction of a destination, as wide as needed. Picklable: `write` runs in workers.

    `commit` is called where it began.
    """

    @property
    def staged(self) -> Mapping[str, Receipt]:
        """Receipts, by split id, of what an interrupted load had completely written and this one took over.

        Only of the same pipeline and stream, and never of a piece whose `write` raised. The mode does not matter: a
        piece is rows, whatever a commit does with them. A destination that cannot take over gives an empty mapping.
        """
        ...

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Write the batches where nobody sees them yet. Called once per split, from any thread or process.

        When it raises, or `batches` does, the piece counts as not written and what it left is removed, now or later.
        Values come back as they were given, null and the last bit of a float included.

        What batches have as `rejected` goes where people look for it, under the stream's name and `_quarantine`, and is
        seen from the same commit on; a replacement drops what the pipeline had put there. Batches of a split that has
        nothing else have no columns.

        Raises:
            SchemaMismatch: the batches of the split differ in their columns, or (here or in `commit`) the columns are
                not those of the destination. Nothing has changed then.
            ValueNotHeld: a value that the destination would have to change in order to hold it.

        """
        ...

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> int | None:
        """Make exactly these pieces visible, in this order, with the position: all or nothing.

        Gives how many rows were deleted, or marked as deleted, since the receipts have keys of existing rows and not
        theirs; None where none have keys.

        Rows are counted once more and must agree with the receipts. A commit that is interrupted anywhere has shown
        rows and position, or neither: they are one write. One whose outcome is unknown is looked up, never guessed.

        Without receipts, a commit moves the position alone (and in the mode replace leaves no rows). `position=None`
        says that the stream has no position: the next `position` is None, whatever it was before.

        Raises:
            Overtaken: another run of the pipeline has committed to this stream since the load began.
            CountMismatch: the rows to be made visible are not the rows that were read.
            SchemaMismatch: the columns are not those of the destination, or of the other pieces, and it was not told
                to let its columns grow to hold both (see `de_classes.utils.schemas`).
            TooManyDeletes: the receipts have keys of existing rows, and more rows than the user allows have none.

        """
        ...


@runtime_checkable
class Takes(Protocol):
    """A Load that may take a split's rows without their becoming batches, as one database hands COPY to another."""

    def take(self, split_id: str, split: Split) -> Receipt | None:
        """Write the whole split by a way of its own, as `write` would; None where there is no such way for this split.

        Only offered what reaches the destination as it left the source: no transforms, and no other target.
        """
        ...


@runtime_checkable
class Expects(Protocol):
    """A Load that arranges itself for how many pieces come."""

    def expecting(self, pieces: int) -> Load:
        """The same load, told how many pieces will be written to it, some of them at the same time.

        Said before the first of them, if it is known; fewer may come.
        """
        ...


@runtime_checkable
class Checks(Protocol):
    """A Load that can read back what it has written, before it is committed."""

    def checkable(self, schema: pa.Schema) -> Sequence[str]:
        """The columns whose values come back as they were given, of batches with this schema."""
        ...

    def checksum(self, receipt: Receipt, columns: Sequence[str]) -> str:
        """The sum of the values that are there of a piece, in these columns, in 32 hexadecimal digits.

        Raises:
            Overtaken: they are not there any more, since another run of the pipeline has committed to this stream.

        """
        ...


@runtime_checkable
class Destination(Protocol):
    """Where streams go to, together with their positions."""

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        """The position in the last commit of this pipeline to this stream; None before the first."""
        ...

    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> AbstractContextManager[Load]:
        """Begin a load. Leaving the context without a commit leaves nothing visible, whatever the reason.

        It neither waits for another live load nor refuses because of one: nobody can tell a slow run from a dead one.
        No lock is held from here to the commit. Of two loads of a pipeline into a stream the first to commit wins, and
        the other's commit raises Overtaken; loads of two pipelines may both commit.

        What was written may stay staged, so that the next run need not repeat it; the next commit of the pipeline to
        this stream removes what it did not use. What another live run is writing is left alone: all of another
        pipeline's, and of this pipeline's what could still be committed.

        Raises:
            ConfigurationError: there is no such mode here, or it is merge and the stream has no primary key.

        """
        ...


@runtime_checkable
class Remembers(Protocol):
    """A destination that remembers items: their names and versions become visible in the commit of their rows.

    A commit that replaces forgets the items of the stream, but for those that it brings.
    """

    def ledger(self, pipeline: str, stream: Stream) -> Ledger:
        """What this pipeline has loaded into this stream, as of the last commit."""
        ...


@runtime_checkable
class Previews(Protocol):
    """A destination that can tell beforehand what a load would change besides rows."""

    def preview(self, stream: Stream, mode: Mode) -> Sequence[str]:
        """The statements that would run for a stream of known columns, as people read them; nothing is changed.

        Raises:
            SchemaMismatch: the load would be refused for its columns.

        """
        ...


# --- Events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run. Events are facts: frozen, picklable, without behaviour."""

    at: datetime
    """When, with a zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunEvent(Event):
    run_id: str
    pipeline: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(_RunEvent):
    """A pipeline began to run."""

    streams: tuple[str, ...]
    mode: Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(_RunEvent):
    """Every stream of the run is committed."""

    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(_RunEvent):
    """The run ended with an error; what was committed before stays committed."""

    error: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _StreamEvent(_RunEvent):
    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStarted(_StreamEvent):
    """The stream is planned and about to be read."""

    since: Position | None
    splits: int
    """How many splits the plan has."""
    staged: int
    """How many of them an interrupted run has written already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFinished(_StreamEvent):
    """The stream is at the position that the source had to offer."""

    position: Position | None
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFailed(_StreamEvent):
    """The stream ended with an error."""

    error: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _SplitEvent(_StreamEvent):
    split_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStarted(_SplitEvent):
    """A worker was given the split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitProgressed(_SplitEvent):
    """Another batch of the split was handed to the destination. Told only by workers that share the runner's memory."""

    rows: int
    """Rows in this batch, after the transforms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFinished(_SplitEvent):
    """The split is written, not yet visible."""

    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(_StreamEvent):
    """Rows became visible, together with the position."""

    position: Position | None
    rows: int
    bytes: int
    rejected: int = 0
    """Records that went to quarantine with them."""
    deleted: int = 0
    """Rows that were deleted with them, or marked as deleted, being gone at the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Event):
    """A client is about to try again. Told by clients, which know nothing of runs."""

    name: str
    """What is tried again, such as `GET http://shop.example/orders`."""
    attempt: int
    """How many attempts have failed so far."""
    wait_seconds: float
    cause: str


Observer: TypeAlias = Callable[[Event], None]
"""Anything that wants to be told. Called in the order of events, one at a time per run; only `Retried` comes from
clients, in any thread. What it raises is logged and changes nothing."""
