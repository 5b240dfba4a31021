from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from de_classes.storage.postgres import PostgresClient
from de_classes.storage.postgres._doors import (
    choosing,
    client,
    cursors,
    declaring,
    destination,
    identifiers,
    pieces,
    source,
    types,
    versions,
)

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
SHOP = """
CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(9, 2), updated_at timestamptz DEFAULT clock_timestamp());
INSERT INTO orders SELECT n, n + 0.10 FROM generate_series(1, 3) n;
CREATE VIEW large AS SELECT * FROM orders WHERE total > 2;
"""


@pytest.fixture
def shop(postgres_url: str) -> str:
    """A database with a table and a view."""
    PostgresClient(postgres_url).run(SHOP)
    return postgres_url


def test_a_server_is_asked(shop: str, capsys: Capture) -> None:
    """Who answers is told, and how many rows a statement touched."""
    assert client.main([shop]) == 0
    assert "PostgreSQL 1" in capsys.readouterr().out
    assert client.main([shop, "--run", "UPDATE orders SET total = 7 WHERE id < 3"]) == 0
    assert capsys.readouterr().out == "2 rows\n"
    assert client.main([shop, "--run", "nonsense"]) == 1
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    "door", [[client], [source, "--table", "t"], [versions, "t"], [choosing, "*"], [declaring, "t"], [pieces, "t"]]
)
def test_passwords_are_not_shown(door: list[Any], capsys: Capture) -> None:
    """Where no server answers, each door says so without the password; a URL that is none ends with 2."""
    main, *rest = door
    assert main.main(["postgresql://me:hush@127.0.0.1:1/shop", *rest]) == 1
    assert main.main(["http://me:hush@nowhere", *rest]) == 2
    told = capsys.readouterr().err
    assert "127.0.0.1:1/shop" in told
    assert "hush" not in told
    assert "Traceback" not in told


class TestSource:
    def test_writes_a_table_and_a_query(self, shop: str, tmp_path: Path, capsys: Capture) -> None:
        """A table becomes a Parquet file with its exact types, a query lines of CSV."""
        target = str(tmp_path / "orders.parquet")
        assert source.main([shop, "--table", "orders", "--format", "parquet", "--to", target]) == 0
        assert pq.read_table(target)["total"].to_pylist() == [Decimal("1.10"), Decimal("2.10"), Decimal("3.10")]
        assert source.main([shop, "--query", "SELECT count(*) AS n FROM large", "--format", "csv"]) == 0
        assert capsys.readouterr().out == '"n"\n2\n'
        assert source.main([shop, "--table", "orders", "--plan"]) == 0
        assert "1 splits" in capsys.readouterr().out

    @pytest.mark.parametrize("changes", ["updated_at", "versions"])
    def test_reads_what_changed(self, changes: str, shop: str, capsys: Capture) -> None:
        """Since the position that was told, what was written afterwards is among what comes."""
        asked = [shop, "--table", "orders", "--changes", changes]
        assert source.main(asked) == 0
        position = capsys.readouterr().err.splitlines()[1].partition(": ")[2]
        PostgresClient(shop).run("INSERT INTO orders VALUES (9, 9)")
        assert source.main([*asked, "--since", position]) == 0
        assert 9 in [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
        look, column = (versions, []) if changes == "versions" else (cursors, ["--column", changes])
        assert look.main([shop, "orders", *column, "--since", position]) == 0
        told = capsys.readouterr().out
        assert "to read: " in told
        assert "position: {" in told

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            (["--table", "nowhere"], 1),
            (["--table", "orders", "--since", "{"], 2),
            (["--table", "orders", "--lag", "5"], 2),
            (["--table", "large", "--changes", "versions"], 2),
        ],
    )
    def test_what_went_wrong(self, wrong: list[str], code: int, shop: str, capsys: Capture) -> None:
        """A table that is not there, and arguments that mean nothing, end with one message and their code."""
        assert source.main([shop, *wrong]) == code
        assert capsys.readouterr().err


def test_tables_are_looked_at(shop: str, capsys: Capture) -> None:
    """What patterns find, what types columns have, and how a view would be cut, is told."""
    assert choosing.main([shop, "o*"]) == 0
    assert capsys.readouterr().out == "public.orders\n"
    assert types.main([shop, "orders"]) == 0
    assert "numeric(9,2)" in capsys.readouterr().out
    assert pieces.main([shop, "large", "--by", "ranges", "--pieces", "2"]) == 0
    assert capsys.readouterr().out == '("id" IS NULL OR "id" < 3)\n"id" >= 3\n'
    assert pieces.main([shop, "orders"]) == 0
    assert capsys.readouterr().out == "all rows\n"
    assert identifiers.main(["orders", '"A.b"."C"']) == 0
    assert capsys.readouterr().out == '"public"."orders"\n"A.b"."C"\n'


def test_a_destination_tells_its_ddl_and_positions(shop: str, tmp_path: Path, capsys: Capture) -> None:
    """The DDL for a file's columns and for what is declared is printed; a pipeline has a position or none."""
    pq.write_table(pa.table({"id": [1], "note": ["x"]}), tmp_path / "orders.parquet")
    assert destination.main([shop, "orders", "--columns-of", str(tmp_path / "orders.parquet")]) == 0
    assert 'ADD COLUMN "note"' in capsys.readouterr().out
    assert destination.main([shop, "orders", "--pipeline", "nightly"]) == 0
    assert capsys.readouterr().out == "null\n"
    assert declaring.main([shop, "orders", "--unique", "id", "--index", "total", "--check", "total > 0"]) == 0
    told = capsys.readouterr().out
    assert ("UNIQUE" in told, told.count("CREATE INDEX"), "CHECK (total > 0);" in told) == (False, 1, True)
    assert declaring.main([shop, "orders", "--foreign-key", "customer"]) == 2
    assert "customer=customers" in capsys.readouterr().err
