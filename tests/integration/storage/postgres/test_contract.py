"""PostgresSource and PostgresDestination promise what every source and destination promises."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pyarrow as pa
import pytest

from de_classes.errors import TableNotFound
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.testing.contract import DestinationContract, Leftovers, ReadBack, SourceContract


@pytest.fixture
def filled(postgres_url: str) -> str:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE orders (id int, shop text, total numeric(10,2), PRIMARY KEY (shop, id))")
        connection.execute("INSERT INTO orders SELECT n, 'shop ' || n % 3, n / 7.0 FROM generate_series(1, 2000) n")
    return postgres_url


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


class TestReference(TestTable):
    @pytest.fixture
    def source(self, filled: str) -> PostgresSource:
        return PostgresSource(filled, tables=["orders"], split_bytes=32_768, strategy="copy_binary")


class TestDestination(DestinationContract):
    interruptions = 25

    @pytest.fixture
    def destination(self, postgres_url: str) -> PostgresDestination:
        return PostgresDestination(postgres_url)

    @pytest.fixture
    def read_back(self, destination: PostgresDestination) -> ReadBack:
        def read(name: str) -> pa.Table | None:
            source = PostgresSource(destination.client, tables={name: str(destination.table(name))})
            try:
                (stream,) = source.streams()
            except TableNotFound:
                return None
            with source.plan(stream, None) as plan:
                return pa.Table.from_batches(batch.records for split in plan.splits for batch in split.read())

        return read

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


class TestTruncatingDestination(TestDestination):
    @pytest.fixture
    def destination(self, postgres_url: str) -> PostgresDestination:
        return PostgresDestination(postgres_url, schema='Sales "2026"', state_schema="bookkeeping", truncate=True)

    @pytest.fixture
    def leftovers(self, destination: PostgresDestination) -> Leftovers:
        return lambda: [name for (name,) in destination.client.fetch("SELECT table_name FROM bookkeeping.staged")]
