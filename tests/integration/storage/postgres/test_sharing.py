"""Pieces of a load share a staging table, which becomes the target: written once, and each still by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Receipt, Stream
from de_classes.errors import Overtaken, PostgresError
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.storage.postgres.load import PostgresLoad
from de_classes.storage.postgres.types import TYPE_KEY
from de_classes.utils.checksum import checksum
from de_classes.utils.quarantine import REJECTED

SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string())])
ORDERS = Stream("orders", ("id",), SCHEMA)
PLAIN = Stream("orders", (), SCHEMA)


def rows(*ids: int, name: str = "x") -> Batch:
    return Batch(pa.RecordBatch.from_pylist([{"id": n, "name": name} for n in ids], SCHEMA))


def texts(type_: str, note: str) -> Batch:
    schema = pa.schema([pa.field("note", pa.string(), metadata={TYPE_KEY: type_.encode()} if type_ else None)])
    return Batch(pa.RecordBatch.from_pylist([{"note": note}], schema))


def table_of(receipt: Receipt) -> str:
    return f"de_classes.{receipt.details['table']}"


def filenode(client: PostgresClient, table: str) -> Any:
    return client.fetch(f"SELECT pg_relation_filenode('{table}')")


def ids(client: PostgresClient) -> list[int]:
    ((there,),) = client.fetch("SELECT array_agg(id ORDER BY id) FROM orders")
    return list(there)


@contextmanager
def begun(destination: PostgresDestination, stream: Stream, mode: Mode) -> Iterator[PostgresLoad]:
    """A load that is told of many pieces to come."""
    with destination.begin("test", stream, mode) as load:
        yield load.expecting(9)


def nothing_is_left(client: PostgresClient) -> bool:
    tables = client.fetch("SELECT count(*) FROM pg_class WHERE relname LIKE 'staged\\_%' AND relkind = 'r'")
    return tables == [(0,)] and client.fetch("SELECT count(*) FROM de_classes.staged") == [(0,)]


@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.REPLACE])
def test_later_pieces_go_into_the_table_of_the_first(client: PostgresClient, mode: Mode) -> None:
    """Three pieces have one table, its file is the target's, and the target has all of their rows."""
    with begun(PostgresDestination(client), ORDERS, mode) as load:
        pieces = [load.write(f"split {n}", iter([rows(n, n + 10)])) for n in range(3)]
        assert len({table_of(piece) for piece in pieces}) == 1
        file = filenode(client, table_of(pieces[0]))
        load.commit(pieces, {"at": 1})
    assert filenode(client, "orders") == file
    assert ids(client) == [0, 1, 2, 10, 11, 12]
    assert nothing_is_left(client)


def test_pieces_that_are_written_at_once_wait_for_nobody(client: PostgresClient) -> None:
    """While the first piece of a load is being written, others go into the same table."""
    within: list[Receipt] = []
    with begun(PostgresDestination(client), ORDERS, Mode.APPEND) as load:

        def slow() -> Iterator[Batch]:
            yield rows(1)
            within.append(load.write("meanwhile", iter([rows(2)])))
            yield rows(3)

        pieces = [load.write("slow", slow()), *within]
        assert len({table_of(piece) for piece in pieces}) == 1
        load.commit(pieces, {"at": 1})
    assert ids(client) == [1, 2, 3]
    assert nothing_is_left(client)


def test_of_pieces_that_begin_at_once_one_opens_the_table(client: PostgresClient) -> None:
    """Eight threads that find no table wait for the one that makes it, and no second one is made."""
    ready = threading.Barrier(8)
    with begun(PostgresDestination(client), ORDERS, Mode.APPEND) as load, ThreadPoolExecutor(8) as threads:

        def at_once(n: int) -> Iterator[Batch]:
            ready.wait()
            yield rows(n)

        pieces = list(threads.map(lambda n: load.write(f"split {n}", at_once(n)), range(8)))
        assert len({table_of(piece) for piece in pieces}) == 1
        load.commit(pieces, {"at": 1})
    assert ids(client) == list(range(8))
    assert nothing_is_left(client)


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_pieces_that_begin_at_once_need_no_weak_isolation(postgres_url: str, level: str) -> None:
    """Where transactions are serializable by default, pieces that are written at once do not refuse each other."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_isolation TO '{level}'".encode())
    ready, client = threading.Barrier(8), PostgresClient(postgres_url)
    with begun(PostgresDestination(client), ORDERS, Mode.APPEND) as load, ThreadPoolExecutor(8) as threads:

        def at_once(n: int) -> Iterator[Batch]:
            ready.wait()
            yield rows(n)

        pieces = list(threads.map(lambda n: load.write(f"split {n}", at_once(n)), range(8)))
        load.commit(pieces, {"at": 1})
    assert ids(client) == list(range(8))


def test_a_table_that_was_opened_for_nothing_goes(client: PostgresClient) -> None:
    """Where the only piece of a run broke off, its table is empty, and the next run drops it."""

    def breaks() -> Iterator[Batch]:
        yield rows(1)
        raise ConnectionResetError

    destination = PostgresDestination(client)
    with begun(destination, ORDERS, Mode.APPEND) as load, pytest.raises(ConnectionResetError):
        load.write("split", breaks())
    assert not nothing_is_left(client)
    with begun(destination, ORDERS, Mode.APPEND) as load:
        assert not load.staged
    assert nothing_is_left(client)


def test_a_table_that_somebody_dropped_is_opened_anew(client: PostgresClient) -> None:
    """A piece that finds its run's table gone does not look for it for ever."""
    with begun(PostgresDestination(client), ORDERS, Mode.APPEND) as load:
        client.run(f"DROP TABLE {table_of(load.write('split', iter([rows(1)])))}")
        pieces = [load.write("split", iter([rows(1)])), load.write("other", iter([rows(2)]))]
        assert len({table_of(piece) for piece in pieces}) == 1
        load.commit(pieces, {"at": 1})
    assert ids(client) == [1, 2]


def test_a_piece_that_breaks_off_leaves_no_row(client: PostgresClient) -> None:
    """Rows of a piece that failed in the middle are in the shared table, and nobody ever sees them."""

    def breaks() -> Iterator[Batch]:
        yield rows(*range(100, 200))
        raise ConnectionResetError

    with begun(PostgresDestination(client), ORDERS, Mode.APPEND) as load:
        pieces = [load.write("first", iter([rows(1)]))]
        with pytest.raises(ConnectionResetError):
            load.write("second", breaks())
        pieces.append(load.write("second", iter([rows(2)])))
        assert table_of(pieces[0]) == table_of(pieces[1])
        load.commit(pieces, {"at": 1})
    assert ids(client) == [1, 2]


@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.REPLACE])
def test_a_piece_that_was_written_twice_comes_once(client: PostgresClient, mode: Mode) -> None:
    """Where a piece was committed and its answer lost, the second of its kind is taken, and the first left behind."""
    with begun(PostgresDestination(client), ORDERS, mode) as load:
        load.write("split", iter([rows(1, 2)]))
        pieces = [load.write("split", iter([rows(1, 2)])), load.write("other", iter([rows(3)]))]
        assert client.fetch(f"SELECT count(*) FROM {table_of(pieces[0])}") == [(5,)]
        load.commit(pieces, {"at": 1})
    assert ids(client) == [1, 2, 3]
    assert nothing_is_left(client)


def test_other_columns_have_another_table(client: PostgresClient) -> None:
    """A piece with a column more stands alone, and the table has it."""
    more = pa.RecordBatch.from_pylist([{"id": 3, "name": "x", "more": True}])
    with begun(PostgresDestination(client, schema_changes="evolve"), ORDERS, Mode.APPEND) as load:
        pieces = [load.write("a", iter([rows(1)])), load.write("b", iter([Batch(more)]))]
        pieces.append(load.write("c", iter([rows(2)])))
        first, second, third = map(table_of, pieces)
        assert first == third != second
        load.commit(pieces, {"at": 1})
    assert client.fetch("SELECT id, more FROM orders ORDER BY id") == [(1, None), (2, None), (3, True)]


def test_text_of_another_type_has_another_table(client: PostgresClient) -> None:
    """Columns that Arrow has alike and PostgreSQL has not are staged apart, so that no value is taken for another."""
    short, free = texts("varchar(3)", "abc"), texts("", "abcdef")
    with begun(PostgresDestination(client, schema_changes="evolve"), Stream("notes"), Mode.APPEND) as load:
        pieces = [load.write("a", iter([short])), load.write("b", iter([free])), load.write("c", iter([short]))]
        first, second, third = map(table_of, pieces)
        assert first == third != second
        load.commit(pieces, {"at": 1})
    assert client.fetch("SELECT note FROM notes ORDER BY note") == [("abc",), ("abc",), ("abcdef",)]


def test_sixteen_characters_are_no_uuid(client: PostgresClient) -> None:
    """Text whose bytes would be those of a uuid is refused where uuids are, and not staged as one."""
    uuids, free = texts("uuid", "00000000-0000-0000-0000-000000000001"), texts("", "sixteen letters!")
    with begun(PostgresDestination(client, schema_changes="evolve"), Stream("notes"), Mode.APPEND) as load:
        pieces = [load.write("a", iter([uuids])), load.write("b", iter([free]))]
        with pytest.raises(PostgresError, match="sixteen letters!"):
            load.commit(pieces, {"at": 1})


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.HISTORY])
def test_where_the_last_row_of_a_key_counts_nothing_is_shared(client: PostgresClient, mode: Mode) -> None:
    """Pieces of a merge and of a history keep their order, each in its own table."""
    with begun(PostgresDestination(client), ORDERS, mode) as load:
        pieces = [load.write(f"split {n}", iter([rows(1, name=str(n))])) for n in range(3)]
        assert len({table_of(piece) for piece in pieces}) == 3
        load.commit(pieces, {"at": 1})
    assert client.fetch("SELECT name FROM orders") == [("2",)]


def test_what_is_read_back_is_one_piece(client: PostgresClient) -> None:
    """Of a table that pieces share, written at once or one after the other, each has the sum of its own rows."""
    within: list[Receipt] = []
    with begun(PostgresDestination(client), ORDERS, Mode.APPEND) as load:

        def slow() -> Iterator[Batch]:
            for n in range(10):
                yield rows(*range(10_000 + n, 30_000 + n, 10))
            within.append(load.write("meanwhile", iter([rows(*range(2000))])))
            yield rows(1_000_001)

        first = load.write("first", iter([rows(1_000_000)]))
        pieces = [first, load.write("slow", slow()), *within, load.write("last", iter([rows(*range(5000, 7000))]))]
        assert len({table_of(piece) for piece in pieces}) == 1
        summed = [load.checksum(piece, ["id", "name"]) for piece in pieces]
        for piece, found in zip(pieces, summed, strict=True):
            own = client.fetch(f"SELECT id FROM {table_of(piece)} WHERE xmin = '{piece.details['xid']}'::xid")
            assert len(own) == piece.rows
            assert found == str(checksum([rows(*(n for (n,) in own)).records]))
        assert len(set(summed)) == 4


def test_what_is_read_back_is_found_wherever_it_is(client: PostgresClient) -> None:
    """Rows that are not in the pages where they are looked for first are found in the others."""
    with begun(PostgresDestination(client), ORDERS, Mode.APPEND) as load:
        pieces = [load.write(f"split {n}", iter([rows(*range(n, 900, 2))])) for n in range(2)]
        lost = replace(pieces[1], details={**pieces[1].details, "pages": [0, 1]})
        found = [load.checksum(piece, ["id", "name"]) for piece in (pieces[0], pieces[1], lost)]
    assert found == [str(checksum([rows(*range(n, 900, 2)).records])) for n in (0, 1, 1)]


@pytest.mark.parametrize("how", ["FREEZE", "FULL"])
def test_rows_are_still_known_by_their_piece_when_they_are_frozen(
    client: PostgresClient, postgres_url: str, how: str
) -> None:
    """Whether the server has frozen them where they are or written them anew: a piece is read back, and taken over."""
    destination = PostgresDestination(client)
    with begun(destination, PLAIN, Mode.APPEND) as load:
        load.write("split 1", iter([rows(7)]))  # its answer was lost
        pieces = [load.write(f"split {n}", iter([rows(n, n + 10)])) for n in range(3)]
        with psycopg.connect(postgres_url, autocommit=True) as server:
            server.execute(f"VACUUM ({how}) {table_of(pieces[0])}".encode())
        summed = [load.checksum(piece, ["id", "name"]) for piece in pieces]
    assert summed == [str(checksum([rows(n, n + 10).records])) for n in range(3)]
    with begun(destination, PLAIN, Mode.APPEND) as load:
        load.commit([load.staged[piece.split_id] for piece in pieces], {"at": 1})
    assert ids(client) == [0, 1, 2, 10, 11, 12]
    assert nothing_is_left(client)


def test_the_next_run_makes_the_target_of_what_one_that_stopped_has_left(client: PostgresClient) -> None:
    """Its pieces are taken over, new ones have a table of their own, and the larger of the two becomes the target."""
    destination = PostgresDestination(client)
    with begun(destination, ORDERS, Mode.APPEND) as load:
        left = [load.write(f"split {n}", iter([rows(n, n + 10)])) for n in range(2)]
    with begun(destination, ORDERS, Mode.APPEND) as load:
        assert dict(load.staged) == {piece.split_id: piece for piece in left}
        new = load.write("split 2", iter([rows(2)]))
        assert table_of(new) != table_of(left[0])
        file = filenode(client, table_of(left[0]))
        load.commit([*load.staged.values(), new], {"at": 1})
    assert filenode(client, "orders") == file
    assert ids(client) == [0, 1, 2, 10, 11]
    assert nothing_is_left(client)


def test_bytes_that_are_handed_over_share_a_table_too(client: PostgresClient) -> None:
    """Splits of another PostgreSQL table go into one table as well."""
    client.run("CREATE TABLE source AS SELECT n::int AS id FROM generate_series(1, 50000) n")
    source = PostgresSource(client, tables=["source"], split_bytes=1 << 19)
    destination, stream = PostgresDestination(client, schema="target"), Stream("source")
    with source.plan(stream, None) as plan, begun(destination, stream, Mode.APPEND) as load:
        pieces = [piece for split in plan.splits if (piece := load.take(split.id, split)) is not None]
        assert len(pieces) > 2
        assert len({table_of(piece) for piece in pieces}) == 1
        assert len({load.checksum(piece, ["id"]) for piece in pieces}) == len(pieces)
        load.commit(pieces, plan.position)
    assert client.fetch("SELECT count(*), sum(id) FROM target.source") == [(50_000, 1_250_025_000)]


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.HISTORY])
def test_a_run_in_another_mode_takes_over_nothing_that_is_shared(client: PostgresClient, mode: Mode) -> None:
    """Of rows in no order nobody knows the last: they are dropped, and copied again."""
    destination = PostgresDestination(client)
    with begun(destination, ORDERS, Mode.APPEND) as load:
        for n in range(2):
            load.write(f"split {n}", iter([rows(n)]))
    with begun(destination, ORDERS, mode) as load:
        assert not load.staged
    assert nothing_is_left(client)


def test_a_table_that_lost_rows_is_not_taken_over(client: PostgresClient) -> None:
    """All pieces in it are copied again, since it can be the target no more."""
    destination = PostgresDestination(client)
    with begun(destination, ORDERS, Mode.APPEND) as load:
        pieces = [load.write(f"split {n}", iter([rows(n)])) for n in range(2)]
    client.run(f"DELETE FROM {table_of(pieces[0])} WHERE id = 1")
    with begun(destination, ORDERS, Mode.APPEND) as load:
        assert not load.staged
    assert nothing_is_left(client)


def test_two_runs_at_once_do_each_other_no_harm(client: PostgresClient) -> None:
    """A run takes over from one that is alive and writes on: the first to commit wins, the other is told so."""
    destination = PostgresDestination(client)
    with begun(destination, PLAIN, Mode.APPEND) as slow:
        first = slow.write("a", iter([rows(1)]))
        with begun(destination, PLAIN, Mode.APPEND) as quick:
            assert list(quick.staged) == ["a"]
            late = slow.write("b", iter([rows(2)]))
            assert table_of(late) == table_of(first)
            quick.commit([quick.staged["a"], quick.write("b", iter([rows(2)]))], {"at": 1})
        with pytest.raises(Overtaken):
            slow.commit([first, late], {"at": 1})
        slow.write("c", iter([rows(3)]))
    assert ids(client) == [1, 2]
    with begun(destination, PLAIN, Mode.APPEND):
        pass
    assert nothing_is_left(client)


def test_a_table_that_somebody_still_writes_to_is_left_for_later(client: PostgresClient, postgres_url: str) -> None:
    """A worker that was given up holds the shared table: its rows are moved, and the next run drops it."""
    impatient = PostgresDestination(PostgresClient(postgres_url, lock_timeout_seconds=0.1))
    with begun(impatient, PLAIN, Mode.APPEND) as load, psycopg.connect(postgres_url) as other:
        pieces = [load.write(f"split {n}", iter([rows(n)])) for n in range(2)]
        other.execute(f"INSERT INTO {table_of(pieces[0])} VALUES (7, 'never committed')".encode())
        load.commit(pieces, {"at": 1})
        assert ids(client) == [0, 1]
        assert client.fetch("SELECT count(*) FROM de_classes.staged") == [(3,)]
        other.rollback()
    with begun(impatient, PLAIN, Mode.APPEND) as load:
        assert not load.staged
    assert ids(client) == [0, 1]
    assert nothing_is_left(client)


def test_rejected_records_that_somebody_reads_are_left_for_later(client: PostgresClient, postgres_url: str) -> None:
    """A backup holds the table of a piece's rejected records and not that of its rows: the next run drops it."""
    impatient = PostgresDestination(PostgresClient(postgres_url, lock_timeout_seconds=0.1))
    unfit = pa.RecordBatch.from_pylist([{"record": "{}", "reason": "unfit", "place": "page 1"}], REJECTED)
    with begun(impatient, PLAIN, Mode.APPEND) as load, psycopg.connect(postgres_url) as other:
        pieces = [load.write(f"split {n}", iter([replace(rows(n), rejected=unfit)])) for n in range(2)]
        other.execute(f"LOCK TABLE de_classes.{pieces[0].details['rejected']} IN ACCESS SHARE MODE".encode())
        load.commit(pieces, {"at": 1})
    with begun(impatient, PLAIN, Mode.APPEND):
        pass
    assert ids(client) == [0, 1]
    assert nothing_is_left(client)
