"""The tables of the benchmarks, made by the server itself: the same rows each time, of any number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

__all__ = ["KEYS", "ROWS", "SHIFTS", "TABLES", "make"]

_DRAW = """
CREATE FUNCTION pg_temp.drawn(n bigint, salt bigint, count bigint) RETURNS bigint IMMUTABLE PARALLEL SAFE LANGUAGE sql
    RETURN (hashint8extended(n, salt) & 9223372036854775807) % count
"""

_LINEITEM = """
CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber integer NOT NULL,
    l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL,
    l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL,
    l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL,
    l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL)
"""
_LINEITEM_ROWS = """
INSERT INTO lineitem SELECT
    n / 4 + 1, 1 + pg_temp.drawn(n, 1, 200000), 1 + pg_temp.drawn(n, 2, 10000), 1 + n % 4,
    1 + pg_temp.drawn(n, 3, 50), (90000 + pg_temp.drawn(n, 4, 10000000)) / 100.0, pg_temp.drawn(n, 5, 11) / 100.0,
    pg_temp.drawn(n, 6, 9) / 100.0, substr('ANR', 1 + pg_temp.drawn(n, 7, 3)::int, 1),
    substr('FO', 1 + pg_temp.drawn(n, 8, 2)::int, 1), date '1992-01-01' + pg_temp.drawn(n, 9, 2500)::int,
    date '1992-02-01' + pg_temp.drawn(n, 10, 2500)::int, date '1992-01-15' + pg_temp.drawn(n, 11, 2500)::int,
    (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + pg_temp.drawn(n, 12, 4)],
    (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + pg_temp.drawn(n, 13, 7)],
    substr('carefully final deposits detect slyly agai blithely even requests furiously ironic packages', 1
        + pg_temp.drawn(n, 14, 40)::int, 10 + pg_temp.drawn(n, 15, 34)::int)
FROM generate_series(0, %s - 1) n
"""

_MESSY = """
CREATE TABLE messy (
    id uuid NOT NULL, payload jsonb, tags text[], seen_at timestamptz, amount numeric, note text,
    score double precision,
    ok boolean, small smallint)
"""
_MESSY_ROWS = """
INSERT INTO messy SELECT
    md5(n::text)::uuid,
    CASE WHEN n % 10 > 0
        THEN jsonb_build_object('n', n, 'name', 'Zoë ' || n, 'nested', jsonb_build_array(n, null, 'x')) END,
    CASE WHEN n % 7 > 0 THEN ARRAY['a' || n % 100, NULL, 'with "quotes", commas'] END,
    timestamptz '2020-01-01 UTC' + n * interval '1.000001 s',
    CASE WHEN n % 5 > 0 THEN (repeat((1 + pg_temp.drawn(n, 1, 9))::text, 1 + (n % 30)::int) || '.'
        || repeat(pg_temp.drawn(n, 2, 10)::text, 1 + (n % 20)::int))::numeric END,
    CASE WHEN n % 3 > 0
        THEN E'line one\\nline "two"\\t' || chr(9731) || chr(128512) || repeat('é', (n % 40)::int) END,
    n / 7.0::double precision, n % 2 = 0, n % 30000
FROM generate_series(0, %s - 1) n
"""

_LARGE = """
CREATE TABLE large (id bigint NOT NULL, body text);
ALTER TABLE large ALTER body SET STORAGE EXTERNAL
"""
_LARGE_ROWS = """
INSERT INTO large SELECT n, repeat(megabyte, 10) || n
FROM generate_series(0, %s - 1) n, (SELECT string_agg(md5(i::text), '') AS megabyte FROM generate_series(1, 32768) i)
"""

TABLES = {"lineitem": (_LINEITEM, _LINEITEM_ROWS), "messy": (_MESSY, _MESSY_ROWS), "large": (_LARGE, _LARGE_ROWS)}
ROWS = {"lineitem": 6_000_000, "messy": 1_000_000, "large": 40}
KEYS = {"lineitem": ("l_orderkey", "l_linenumber"), "messy": ("id",), "large": ("id",)}
SHIFTS = {
    "lineitem": "l_orderkey = l_orderkey + 1000000000",
    "messy": "id = md5(id::text)::uuid",
    "large": "id = id + 1000000000",
}
"""What makes other keys of a table's."""


def make(connection: psycopg.Connection[Any], name: str, rows: int) -> None:
    """Make one of the tables, of so many rows, with statistics."""
    table, insert = TABLES[name]
    connection.execute(_DRAW)
    connection.execute(table.encode())
    connection.execute(insert.replace("%s", str(rows)).encode())
    connection.commit()
    connection.autocommit = True
    connection.execute(f"VACUUM (FREEZE, ANALYZE) {name}".encode())
