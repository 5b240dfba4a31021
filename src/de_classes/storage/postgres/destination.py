"""Tables of PostgreSQL as a destination: rows, position and epoch commit in one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError
from de_classes.utils.deletes import check_share
from de_classes.utils.faults import reach
from de_classes.utils.quarantine import quarantine_of

from ._errors import postgres_errors
from .catalogue import table_in_catalogue
from .client import PostgresClient
from .identifiers import TableName, quoted, shortened
from .load import PostgresLoad
from .loaded_items import LoadedItems
from .previewing import preview, table_changes
from .state import State
from .takeover import TakeOver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from de_classes.configs.secrets import Secret
    from de_classes.contracts import Ledger, Position, Stream

    from .declaring import Declaration
    from .encode import CopyEncoder
    from .placing import TableChanges
    from .setting_aside import Unfit

__all__ = ["PostgresDestination", "PostgresLoad"]

_SHORT = 60
"""Characters of a statement that errors show."""


class PostgresDestination:
    """Loads streams into tables of one schema, called after the streams; creates those that are missing.

    Splits are copied into staging tables in `state_schema`; the commit moves them into the target, together with
    the position, in one transaction. `state_schema` is created on first use and may serve many pipelines.

    To replace, the old rows are deleted, so that nobody ever sees the table without rows; with `truncate` they go
    faster, but a transaction that began earlier and reads later sees none. The table itself stays, with its views,
    grants, indexes, triggers, comments and constraints. Where foreign keys of other tables refer to it, rows whose key
    comes again are updated in their place, and only the others deleted; no load deletes or changes rows of other tables
    by an ON DELETE, but ends with an error. To merge, rows that are the same already are not written again, and columns
    that do not come are left as they are.

    With `schema_changes="evolve"` the commit lets the table grow, in its transaction, where that loses no value (the
    table of what becomes what is in growing.py; `changes` tells it beforehand): columns that it lacks are added,
    narrower ones become wider, those without any value become what comes, and so does every one that is replaced and
    does not take it. Types of the columns decide, so a varchar(3) that text comes for becomes text; what grows no way,
    such as a uuid that text comes for, takes the values that it holds. Pieces may have different columns; what one
    lacks is NULL in new rows, or the column's default. NOT NULL stays: it is a promise to whoever reads, so a load
    without such a column is refused. A table that grows is locked for everybody from then to the end of the commit,
    which waits for those who use it (`PostgresClient.lock_timeout_seconds`); where PostgreSQL writes it anew, a
    transaction that began earlier and reads later sees no rows.

    With `schema_changes="quarantine"` the table stays as it is, and rows with a value that has no place in it go to
    quarantine: those in columns that it lacks or has of another kind (sieving.py), and those that a column refuses. The
    latter is `unfit` (setting_aside.py), which may also be "fail" or "null", with any `schema_changes`. Either costs a
    savepoint for each few megabytes, and one for each row that is gone around.

    A history keeps every version of a row with the moments `valid_from` and `valid_to` (see history.py), in a table
    that is made for it.

    A merge of a source that tells which keys are alive deletes the table's other rows, whoever put them there; with
    `mark_deleted` it sets that column (a timestamptz, added if it is missing) to the moment of the commit instead, and
    back to NULL when the row is there again. A history closes them. More than `max_deleted_share` of the rows do not go
    unasked.

    `declared` says, by stream, which indexes and constraints its table is to have beside the primary key:
    `{"orders": [Index(["status"]), ForeignKey(["customer"], "customers"), Check("total >= 0")]}`. A commit makes those
    that are missing, after its rows; on a large table that is there already, writers wait for it.

    Rejected records go to the table `quarantine` names; those of a pipeline are dropped when it replaces the stream.
    """

    def __init__(  # noqa: PLR0913 -- what there is to choose
        self,
        client: PostgresClient | str | Secret,
        *,
        schema: str = "public",
        state_schema: str = "de_classes",
        truncate: bool = False,
        schema_changes: TableChanges = "freeze",
        unfit: Unfit | None = None,
        max_deleted_share: float = 0.5,
        mark_deleted: str | None = None,
        declared: Mapping[str, Sequence[Declaration]] | None = None,
        encoder: CopyEncoder | None = None,
    ) -> None:
        for name in (schema, state_schema):
            quoted(name)  # refuses what is no name
        for option, given, allowed in (
            ("schema_changes", schema_changes, ("freeze", "evolve", "quarantine")),
            ("unfit", unfit, (None, "fail", "null", "quarantine")),
        ):
            if given not in allowed:
                told = ", ".join(map(repr, allowed))
                raise ConfigurationError("PostgresDestination", f"{option}={given!r} is none of them", f"Give {told}.")
        self.client = client if isinstance(client, PostgresClient) else PostgresClient(client)
        self.schema = schema
        self.state_schema = shortened(state_schema)
        self.truncate = truncate
        check_share("PostgresDestination", max_deleted_share)
        if mark_deleted is not None:
            quoted(mark_deleted)
        self.schema_changes = schema_changes
        self.unfit: Unfit = unfit or ("quarantine" if schema_changes == "quarantine" else "fail")
        self.max_deleted_share = max_deleted_share
        self.mark_deleted = mark_deleted
        self.declared = {stream: tuple(given) for stream, given in (declared or {}).items()}
        self.encoder = encoder

    def __repr__(self) -> str:
        return f"PostgresDestination({self.client!r}, schema={self.schema!r})"

    def table(self, stream: str) -> TableName:
        """The table that a stream goes into; a name over 63 bytes is shortened with a hash."""
        return TableName(shortened(self.schema), shortened(stream))

    def quarantine(self, stream: str) -> TableName:
        """The table that rejected records of a stream go into; made when the first one comes."""
        return self.table(quarantine_of(stream))

    def changes(self, stream: str, schema: pa.Schema, primary_key: Sequence[str] = ()) -> list[str]:
        """The statements with which a commit of such columns would make the table or let it grow; none if it fits.

        Nothing is run but queries. It tells what evolving would do also while the columns are frozen.

        Raises:
            SchemaMismatch: the columns cannot be taken; values that are in the way are looked for.

        """
        with self.client.connect() as connection:
            key = tuple(map(shortened, primary_key))
            return table_changes(connection, self.table(stream), schema, key, Mode.APPEND)

    def preview(self, stream: Stream, mode: Mode) -> list[str]:
        """The statements with which a commit would make the table or let it grow, and make what is declared of it.

        Which rows would go to quarantine for their columns is told as comments.

        Raises:
            SchemaMismatch: the columns cannot be taken, or only if they were allowed to grow.
            ConfigurationError: the table is none that the mode can load.

        """
        with self.client.connect() as connection:
            return preview(connection, self, stream, Mode(mode))

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        """The position in the last commit of the pipeline to this stream; None when its table was dropped since."""
        state = self._state(pipeline, stream)
        with self.client.connect() as connection:
            if not state.exists(connection):
                return None
            there = table_in_catalogue(connection, self.table(stream.name)) is not None
            return state.position(connection, has_table=there)

    def ledger(self, pipeline: str, stream: Stream) -> Ledger:
        """The items that the pipeline has loaded into this stream; none when its table was dropped since."""
        state = self._state(pipeline, stream)

        def versions(names: Sequence[str]) -> Mapping[str, str]:
            with self.client.connect() as connection:
                there = table_in_catalogue(connection, self.table(stream.name)) is not None
                if not state.exists(connection) or not state.has_loaded(connection):
                    return {}
                return (
                    LoadedItems(state).versions(connection, names) if there or not state.has_table(connection) else {}
                )

        return versions

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[PostgresLoad]:
        """Begin a load; pieces of an interrupted one that are still complete are offered, others removed.

        Raises:
            ConfigurationError: the mode is merge or history, and the stream has no primary key.

        """
        mode = Mode(mode)
        if mode in {Mode.MERGE, Mode.HISTORY} and not stream.primary_key:
            fact = f"it has no primary key, without which there is no {mode.value}"
            raise ConfigurationError(f"stream {stream.name!r}", fact, "Name one, or append.")
        state = self._state(pipeline, stream)
        with self.client.working_on(f"{pipeline}, {stream.name}").connect() as connection:
            state.ensure(connection)
            epoch = state.epoch(connection) or 0
            # Loads of earlier epochs are overtaken: whatever they left, they can never commit it.
            state.forget_up_to(connection, epoch - 1)
            target = table_in_catalogue(connection, self.table(stream.name))
            taking = TakeOver(target, mode, self.schema_changes == "evolve")
            staged = taking.complete(connection, state, epoch)
            reach("postgres.begin.before")
        reach("postgres.begin.after")
        yield PostgresLoad(self, stream, mode, state, epoch, staged)

    def execute(self, statements: Sequence[str]) -> list[int]:
        """Run SQL in one transaction; gives the number of rows each statement touched, -1 where there is none.

        Raises:
            ConfigurationError: the statements are one text.
            PostgresError: a statement failed; none of them has had an effect.

        """
        if isinstance(statements, str):
            raise ConfigurationError(repr(self), "statements is one string", "Give a list of statements.")
        touched = []
        with self.client.connect() as connection:
            for statement in statements:
                with postgres_errors(f"{self.client.address}, statement {_short(statement)!r}"):
                    touched.append(connection.execute(statement.encode()).rowcount)
        return touched

    def _state(self, pipeline: str, stream: Stream) -> State:
        return State(self.state_schema, pipeline, stream.name, str(self.table(stream.name)))


def _short(statement: str) -> str:
    text = " ".join(statement.split())
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.destination")
