"""A split goes into a staging table, in one transaction with its line in the ledger; so do its rejected records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Receipt
from de_classes.errors import ConfigurationError
from de_classes.utils.faults import reach
from de_classes.utils.read_ahead import read_ahead

from .adopting import NO_NULLS, adoptable
from .altering import refuse_dependants, refuse_obstacles
from .catalogue import checks_of, column_list, has_all_characters, table_in_catalogue
from .copying_in import Copying
from .deleting import AliveKeys
from .encode import CsvEncoder
from .encode_binary import BinaryEncoder
from .growing import changes, coming_columns
from .identifiers import TableName, quoted
from .placing import place
from .quarantine import Rejects
from .reading_back import is_checkable
from .setting_aside import SettingAside
from .sharing import new_name, pages, transaction_number
from .sieving import Sieve
from .state import alive_of, rejects_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    import pyarrow as pa

    from de_classes.contracts import Batch, Item, Position

    from .catalogue import Table
    from .encode import CopyEncoder
    from .placing import Placing, TableChanges
    from .setting_aside import Unfit
    from .sharing import Sharing
    from .state import State
    from .types import PgType

__all__ = ["Staging", "create_staging"]

_AHEAD_BYTES = 4 * 2**20
"""Bytes of COPY's text that may be spelled and not sent."""


@dataclass(frozen=True, slots=True)
class Staging:
    """Where the pieces of a load are staged, and for which table."""

    state: State
    epoch: int
    target: TableName
    primary_key: Sequence[str]
    encoder: CopyEncoder | None = None
    """How rows are written; None: as COPY BINARY if all the columns can be, else as CSV."""
    schema_changes: TableChanges = "freeze"
    unfit: Unfit = "fail"
    sharing: Sharing | None = None
    """How pieces share tables where there is no target yet; None: each has one of its own."""
    replaces: bool = False
    """Whether the target's rows will go, so that none of its values is in the way of another type."""

    def write(self, connection: psycopg.Connection[Any], split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Copy the batches into tables of the state's schema and commit; where nothing came, nothing is left.

        Raises:
            ValueNotHeld, SchemaMismatch, UnknownType: as told by `place` and `Placing`; nothing is left.

        """
        reach("postgres.write.before_copy")
        rejected = Rejects(CsvEncoder(), all_characters=has_all_characters(connection))
        with rejected as rejects, AliveKeys(self.target, CsvEncoder()) as alive:
            passing = _Passing(batches, rejects, alive)
            name = new_name(self.state).table
            receipt = Receipt(split_id, 0, 0, None)
            if (first := next(passing, None)) is not None:
                if self.sets_aside:
                    receipt = self._copied_around(connection, name, receipt, chain([first], passing), rejects)
                else:
                    receipt = self._copied(connection, name, receipt, first, passing)
            details = dict(receipt.details)
            if rejects.rows:
                details["rejected"] = rejects_of(name)
                rejects.stage(connection, TableName(self.state.schema, rejects_of(name)))
            if alive.rows is not None:
                details["alive"] = alive_of(name)
                alive.stage(connection, TableName(self.state.schema, alive_of(name)))
            receipt = replace(
                receipt,
                bytes=receipt.bytes + rejects.size + alive.size,
                position=passing.position,
                details=details,
                rejected=rejects.rows,
                alive=alive.rows,
                items=passing.items,
                checksum=passing.checksum,
            )
        reach("postgres.write.after_copy")
        if details:
            self.enter(connection, name, receipt)
        return receipt

    @property
    def sets_aside(self) -> bool:
        """Whether rows may be left out, or changed, for what the target cannot hold."""
        return self.unfit != "fail" or self.schema_changes == "quarantine"

    def sieve(self, schema: pa.Schema, there: Table | None) -> Sieve:
        """Which columns of a schema the target takes: all, if what it does not take is to fail the load."""
        return Sieve.of(str(self.target), schema, there if self.schema_changes == "quarantine" else None)

    def checkable(self, connection: psycopg.Connection[Any], schema: pa.Schema) -> Sequence[str]:
        """The columns whose values come back from where they are staged as what they were."""
        if self.sets_aside:
            raise ConfigurationError(
                "verify='values'",
                f"table {self.target} is loaded without the rows or values that it cannot hold, so the sums differ",
                "Use verify='counts', or unfit='fail' and another schema_changes.",
            )
        there = table_in_catalogue(connection, self.target)
        placing = place(str(self.target), schema, there, self.primary_key, self.schema_changes)
        types = [type_ for type_, _ in _staged(placing, there)]
        return [field.name for field, type_ in zip(schema, types, strict=True) if is_checkable(field.type, type_)]

    def enter(self, connection: psycopg.Connection[Any], name: str, receipt: Receipt) -> None:
        """Commit what is staged under a name, with its line in the ledger."""
        self.state.enter(connection, self.epoch, name, receipt)
        reach("postgres.write.before_commit")
        connection.commit()
        reach("postgres.write.after_commit")

    def _copied(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        receipt: Receipt,
        first: pa.RecordBatch,
        passing: _Passing,
    ) -> Receipt:
        schema = first.schema
        placing, there = self._placing(connection, schema)
        encoder = self._encoder(first, placing, there)
        details = self.room(connection, name, schema, placing, there)
        add_checks(connection, TableName(self.state.schema, details["table"]), placing, there)
        reach("postgres.write.after_create")
        copying = Copying(placing, encoder, schema)
        # Nobody sees a table before it is committed, so its rows may be such as need no look at who wrote them.
        freeze = "FREEZE, " if details["table"] == name else ""
        statement = self._copy(details["table"], placing, f"{freeze}{encoder.options}")
        rows = chain.from_iterable(map(copying.written, chain([first], passing)))
        spelled = chain([encoder.header] if encoder.header else [], rows)
        with (
            copying.errors(),
            connection.cursor() as cursor,
            cursor.copy(statement.encode()) as copy,
            # The next rows are spelled while the server takes these.
            read_ahead(spelled, len, _AHEAD_BYTES) as pieces,
        ):
            for piece in pieces:
                copy.write(piece)
                reach("postgres.write.in_copy")
        if "pages" in details:
            details["pages"] = [*details["pages"], pages(connection, TableName(self.state.schema, details["table"]))]
        return replace(receipt, rows=copying.rows, bytes=copying.size, schema=schema, details=details)

    def _copied_around(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        receipt: Receipt,
        batches: Iterator[pa.RecordBatch],
        rejects: Rejects,
    ) -> Receipt:
        """Copy the rows that fit, and set the others aside."""
        first = next(batches)
        sieve = self.sieve(first.schema, table_in_catalogue(connection, self.target))
        left = sieve.left(first.slice(0, 0))
        placing, there = self._placing(connection, left.schema)
        encoder = self._encoder(left, placing, there)
        create_staging(connection, TableName(self.state.schema, name), placing, self.target, there)
        add_checks(connection, TableName(self.state.schema, name), placing, there)
        reach("postgres.write.after_create")
        statement = self._copy(name, placing, encoder.options)
        aside = SettingAside(connection, statement, placing, encoder, sieve, first.schema, self.unfit, rejects)
        for records in chain([first], batches):
            aside.take(records)
            reach("postgres.write.in_copy")
        return replace(
            receipt,
            rows=aside.rows,
            bytes=aside.size,
            schema=sieve.schema,
            details={"table": name},
            left_out=aside.left_out,
            replaced=aside.replaced,
        )

    def room(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        schema: pa.Schema,
        placing: Placing,
        there: Table | None,
    ) -> dict[str, Any]:
        """Make a table for a piece, or find the one that it shares: what its receipt is to tell of it."""

        def make(name: TableName) -> None:
            create_staging(connection, name, placing, self.target, there)

        if self.sharing is None or there is not None or not adoptable(connection, self.target.schema):
            make(TableName(self.state.schema, name))
            return {"table": name}
        shared = self.sharing.table(connection, schema, make)
        before = pages(connection, TableName(self.state.schema, shared))
        return {"table": shared, "xid": transaction_number(connection), "pages": [before]}

    def _placing(self, connection: psycopg.Connection[Any], schema: pa.Schema) -> tuple[Placing, Table | None]:
        """Where columns such as these go, and the target as it is."""
        there = table_in_catalogue(connection, self.target)
        placing = place(str(self.target), schema, there, self.primary_key, self.schema_changes)
        if there is not None and self.schema_changes == "evolve":
            # The commit looks again, under a lock; here it saves copying what is refused then.
            made = changes(str(self.target), [coming_columns(str(self.target), schema)], there)
            due = [change for change in made if not change.optional]
            refuse_dependants(connection, self.target, there, due)
            if not self.replaces:
                refuse_obstacles(connection, str(self.target), self.target, there, due)
        return placing, there

    def _encoder(self, first: pa.RecordBatch, placing: Placing, there: Table | None) -> CopyEncoder:
        return self.encoder or _fitting(first, placing, there)

    def _copy(self, name: str, placing: Placing, options: str) -> str:
        columns = column_list(placing.columns)
        return f"COPY {TableName(self.state.schema, name).sql} ({columns}) FROM STDIN WITH ({options})"


class _Passing:
    """The records of batches that have columns; what else they bring is set aside on the way."""

    def __init__(self, batches: Iterator[Batch], rejects: Rejects, alive: AliveKeys) -> None:
        self.position: Position | None = None
        self.items: tuple[Item, ...] = ()
        self.checksum: str | None = None
        self._batches = batches
        self._rejects = rejects
        self._alive = alive

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        for batch in self._batches:
            if batch.rejected is not None and batch.rejected.num_rows:
                self._rejects.add(batch.rejected)
            if batch.alive is not None:
                self._alive.add(batch.alive)
            self.items += batch.items
            self.checksum = batch.checksum
            self.position = batch.position if batch.position is not None else self.position
            if batch.records.num_columns or batch.records.num_rows:
                return batch.records
        raise StopIteration


def _staged(placing: Placing, there: Table | None) -> Sequence[tuple[PgType, bool]]:
    """The type that each column is staged in, and whether that is the target's own."""
    known = {column.name: column.type for column in there.columns} if there is not None else {}
    found = [(column.type, known.get(column.name) == column.type) for column in placing.columns]
    return [(type_ if is_known else type_.staged, is_known) for type_, is_known in found]


def _fitting(first: pa.RecordBatch, placing: Placing, there: Table | None) -> CopyEncoder:
    """The fastest way to write columns such as these."""
    types = [type_.plain for type_, _ in _staged(placing, there)]
    return BinaryEncoder.fitting(types, placing.checked(first.slice(0, 0), 0)) or CsvEncoder()


def create_staging(
    connection: psycopg.Connection[Any], name: TableName, placing: Placing, target: TableName, there: Table | None
) -> None:
    """Make the table with the target's own types, so that what does not fit fails in COPY, which names the line.

    Columns that the target lacks, or that it must grow for, are of the types that come.
    """
    parts = [
        quoted(column.name) if known else f"NULL::{type_.ddl('')} AS {quoted(column.name)}"
        for column, (type_, known) in zip(placing.columns, _staged(placing, there), strict=True)
    ]
    origin = f"FROM {target.sql} " if there is not None else ""
    # What may become the target itself is logged from the start; what is copied into it once more need not be.
    becomes = there is None and adoptable(connection, target.schema)
    kind = "TABLE" if becomes else "UNLOGGED TABLE"
    connection.execute(f"CREATE {kind} {name.sql} AS SELECT {', '.join(parts)} {origin}WITH NO DATA".encode())
    if becomes and placing.required:
        no_nulls = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in sorted(placing.required))
        connection.execute(f"ALTER TABLE {name.sql} ADD CONSTRAINT {NO_NULLS} CHECK ({no_nulls})".encode())


def add_checks(connection: psycopg.Connection[Any], name: TableName, placing: Placing, there: Table | None) -> None:
    """Have a staging table check what the target's constraints say of columns that come, so that they name the row.

    The commit holds all constraints against the rows in any case.
    """
    if there is None:
        return
    own = [column.name for column, (_, known) in zip(placing.columns, _staged(placing, there), strict=True) if known]
    checks = checks_of(connection, there, own)
    if checks:
        connection.execute(f"ALTER TABLE {name.sql} {', '.join(f'ADD {check}' for check in checks)}".encode())
