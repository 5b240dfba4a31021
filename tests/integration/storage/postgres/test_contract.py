"""PostgresSource and PostgresDestination promise what every source and destination promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import TableNotFound
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource, RowVersions, TableName
from de_classes.storage.postgres.load import PostgresLoad
from de_classes.testing.contract import DestinationContract, Leftovers, ReadBack, ReadQuarantine, SourceContract
from de_classes.testing.contract.growing import rejects
from de_classes.testing.contract.loading import ORDERS
from de_classes.utils.quarantine import REJECTED


@pytest.fixture
def filled(postgres_url: str) -> str:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE orders (id int, shop text, total numeric(10,2), PRIMARY KEY (shop, id))")
        connection.execute("INSERT INTO orders SELECT n, 'shop ' || n % 3, n / 7.0 FROM generate_series(1, 2000) n")
    return postgres_url


def whole_table(client: PostgresClient, name: TableName) -> pa.Table | None:
    source = PostgresSource(client, tables={"it": str(name)})
    try:
        (stream,) = source.streams()
    except TableNotFound:
        return None
    with source.plan(stream, None) as plan:
        return pa.Table.from_batches(batch.records for split in plan.splits for batch in split.read())


class WholeTables(SourceContract):
    reaches_an_end = False

    @pytest.fixture
    def grown(self, source: PostgresSource, filled: str) -> Callable[[], PostgresSource]:
        def grow() -> PostgresSource:
            with psycopg.connect(filled) as connection:
                connection.execute(
                    "INSERT INTO orders SELECT n, 'shop ' || n % 4, n FROM generate_series(3000, 3100) n"
                )
            return source

        return grow


class TestTable(WholeTables):
    @pytest.fixture
    def source(self, filled: str) -> PostgresSource:
        return PostgresSource(filled, tables=["public.orders"], split_bytes=32_768)

    def test_a_table_is_cut_into_pieces(self, source: PostgresSource) -> None:
        """A table of several pages becomes several splits."""
        with source.plan(source.streams()[0], None) as plan:
            assert len(plan.splits) > 2


class TestQuery(WholeTables):
    @pytest.fixture
    def source(self, filled: str) -> PostgresSource:
        return PostgresSource(
            filled, queries={"totals": "SELECT shop, sum(total) AS total FROM orders GROUP BY shop; "}
        )


class TestRowVersions(WholeTables):
    reaches_an_end = True

    @pytest.fixture
    def source(self, filled: str) -> PostgresSource:
        return PostgresSource(filled, tables=["orders"], changes={"orders": RowVersions()}, split_bytes=32_768)


class TestReference(TestTable):
    @pytest.fixture
    def source(self, filled: str) -> PostgresSource:
        return PostgresSource(filled, tables=["orders"], split_bytes=32_768, strategy="copy_binary")


class TestDestination(DestinationContract):
    interruptions = 25
    deletes = True
    modes = frozenset(Mode)

    @pytest.fixture
    def destination(self, postgres_url: str) -> PostgresDestination:
        return PostgresDestination(postgres_url)

    @pytest.fixture
    def read_back(self, destination: PostgresDestination) -> ReadBack:
        return lambda name: whole_table(destination.client, destination.table(name))

    @pytest.fixture
    def evolving(self, destination: PostgresDestination) -> PostgresDestination:
        destination.schema_changes = "evolve"
        return destination

    @pytest.fixture
    def read_quarantine(self, destination: PostgresDestination) -> ReadQuarantine:
        return lambda name: whole_table(destination.client, destination.quarantine(name)) or REJECTED.empty_table()

    @pytest.fixture
    def leftovers(self, destination: PostgresDestination) -> Leftovers:
        client: PostgresClient = destination.client
        return lambda: [
            str(name)
            for (name,) in client.fetch(
                "SELECT relname FROM pg_class WHERE relname LIKE 'staged\\_%' AND relkind = 'r'"
                " UNION ALL SELECT table_name FROM de_classes.staged"
            )
        ]

    def test_a_replacement_leaves_what_others_rejected(
        self, destination: PostgresDestination, read_quarantine: ReadQuarantine
    ) -> None:
        """Rejected records of another pipeline stay when this one replaces."""
        reject_one(destination, "another", Mode.APPEND, 1)
        reject_one(destination, "p", Mode.REPLACE, 2)
        assert sorted(read_quarantine(ORDERS.name)["record"].to_pylist()) == ["1", "2"]


def reject_one(destination: PostgresDestination, pipeline: str, mode: Mode, day: int) -> None:
    with destination.begin(pipeline, ORDERS, mode) as load:
        receipt = load.write("split", iter([Batch(pa.record_batch({"id": [day]}), None, rejects(str(day)))]))
        load.commit([receipt], {"day": day})


class _ToldOfMany(PostgresDestination):
    """A destination whose loads have been told that many pieces come."""

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[PostgresLoad]:
        with super().begin(pipeline, stream, mode) as load:
            yield load.expecting(9)


class TestDestinationToldOfMany(TestDestination):
    @pytest.fixture
    def destination(self, postgres_url: str) -> PostgresDestination:
        return _ToldOfMany(postgres_url)


class TestTruncatingDestination(TestDestination):
    @pytest.fixture
    def destination(self, postgres_url: str) -> PostgresDestination:
        return PostgresDestination(postgres_url, schema='Sales "2026"', state_schema="bookkeeping", truncate=True)

    @pytest.fixture
    def leftovers(self, destination: PostgresDestination) -> Leftovers:
        return lambda: [name for (name,) in destination.client.fetch("SELECT table_name FROM bookkeeping.staged")]
