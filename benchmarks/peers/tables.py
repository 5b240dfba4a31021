"""Other tools' part of `benchmarks/postgres_and_files.py`, run by the Python of an environment that has some of them.

What is not installed there is left out. `adbc` is what one would write by hand: two ranges of pages, two connections.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _measuring import telling

_MISSING = 3
"""The exit code that says that a tool is not there."""


def duckdb_out(postgres: str, folder: str, table: str) -> None:
    """DuckDB's extension for PostgreSQL; free numerics become doubles."""
    connection = _duckdb()
    connection.execute(f"ATTACH '{postgres}' AS pg (TYPE postgres, READ_ONLY)")
    connection.execute(f"COPY pg.public.{table} TO '{folder}/duckdb.parquet'")


def duckdb_in(postgres: str, folder: str, table: str) -> None:
    """The same, into a new table."""
    connection = _duckdb()
    connection.execute(f"ATTACH '{postgres}' AS pg (TYPE postgres)")
    connection.execute(f"CREATE TABLE pg.public.loaded AS FROM '{folder}/prepared/{table}/data/**/*.parquet'")


def _duckdb() -> Any:
    """With its extension for PostgreSQL: as a package, if that is there, else as it fetches it when used first."""
    import duckdb  # noqa: PLC0415 -- only what is asked for must be there

    try:
        from duckdb_extensions import import_extension  # noqa: PLC0415
    except ImportError:
        duckdb.execute("INSTALL postgres")
    else:
        import_extension("postgres_scanner")
    connection = duckdb.connect()
    connection.execute("LOAD postgres")
    return connection


def adbc_out(postgres: str, folder: str, table: str) -> None:
    """Numerics come as text, and are left so."""
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    def half(condition: str) -> None:
        with adbc.connect(postgres) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} WHERE {condition}")
            reader = cursor.fetch_record_batch()
            with pq.ParquetWriter(f"{folder}/adbc{len(condition)}.parquet", reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)

    with adbc.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT (pg_relation_size('{table}') / 16384)::bigint")
        (middle,) = cursor.fetchone()
    with ThreadPoolExecutor() as workers:
        list(workers.map(half, [f"ctid < '({middle},0)'", f"NOT ctid < '({middle},0)'"]))


def adbc_in(postgres: str, folder: str, table: str) -> None:
    """Each file by itself, two at a time, without what makes it one load."""
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    def load(path: Path) -> None:
        with adbc.connect(postgres) as connection, connection.cursor() as cursor:
            file = pq.ParquetFile(path)
            cursor.adbc_ingest("loaded", _readable(file), mode="append")
            connection.commit()

    with adbc.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE loaded (LIKE {table})")
        connection.commit()
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(load, sorted(Path(folder, "prepared", table, "data").rglob("*.parquet"))))


def _readable(file: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(100_000))


def connectorx_out(postgres: str, folder: str, table: str) -> None:
    """In a stream of batches; it has no arrays and no numerics of that many digits."""
    import connectorx  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    reader = connectorx.read_sql(postgres, f"SELECT * FROM {table}", return_type="arrow_stream", batch_size=100_000)
    with pq.ParquetWriter(f"{folder}/connectorx.parquet", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def dlt_out(postgres: str, folder: str, table: str) -> None:
    """With pyarrow as its backend."""
    import dlt  # noqa: PLC0415
    from dlt.sources.sql_database import sql_table  # noqa: PLC0415

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.filesystem(Path(folder, "dlt").as_uri()),
        dataset_name="bench",
        pipelines_dir=f"{folder}/dlt-work",
    )
    pipeline.run(sql_table(postgres, table=table, backend="pyarrow"), loader_file_format="parquet")


TOOLS = {
    "duckdb-out": ("duckdb", duckdb_out),
    "duckdb-in": ("duckdb", duckdb_in),
    "adbc-out": ("adbc_driver_postgresql", adbc_out),
    "adbc-in": ("adbc_driver_postgresql", adbc_in),
    "connectorx-out": ("connectorx", connectorx_out),
    "dlt-out": ("dlt", dlt_out),
}


def main() -> None:
    """Run one, and print what it took."""
    name, postgres, folder, table, server = sys.argv[1:]
    package, run = TOOLS[name]
    if importlib.util.find_spec(package) is None:
        raise SystemExit(_MISSING)
    with telling(time.perf_counter(), int(server)):
        run(postgres, folder, table)


if __name__ == "__main__":
    main()
