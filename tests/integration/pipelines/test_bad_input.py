"""What goes wrong outside is one clear error, and nothing is half visible afterwards."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from de_classes.api import ApiClient, ApiSource, Resource
from de_classes.contracts import Destination, Source, Stream
from de_classes.errors import (
    AccessDenied,
    ApiUnreachable,
    BucketNotFound,
    DeClassesError,
    InvalidAnswer,
    PostgresUnreachable,
    TableNotFound,
)
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.objects import Dataset, DatasetDestination, DatasetSource, LocalStore
from de_classes.storage.postgres import PostgresDestination, PostgresSource
from de_classes.testing.http import Reply, ScriptedServer, json_reply
from de_classes.testing.memory import MemoryDestination
from de_classes.testing.s3 import S3Server
from de_classes.utils.retry import RetryPolicy

NUMBERS = ArrowSource({"numbers": pa.table({"id": [1, 2, 3]})})
ONCE = RetryPolicy(attempts=1)


def fails(source: Source, destination: Destination, error: type[DeClassesError], **given: Any) -> str:
    """Run a pipeline that must fail so, with exit code 1; what it says."""
    with pytest.raises(error) as told:
        Pipeline("p", source, destination, **given).run()
    assert told.value.exit_code == 1
    text = str(told.value)
    assert told.value.remedy, text
    assert len(text) < 600, text
    assert "Debug source" not in text
    return text


def test_no_such_api_host() -> None:
    """A host that does not exist is named."""
    source = ApiSource(ApiClient("http://no-such-host.invalid", retry=ONCE), [Resource("things", "/things")])
    assert "no-such-host.invalid" in fails(source, MemoryDestination(), ApiUnreachable)


def test_a_page_that_is_no_json() -> None:
    """A login page in the API's place is named with its URL and how it begins, and nothing is visible."""
    pages = [json_reply({"items": [{"id": 1}], "next": "/things?page=2"}), Reply(200, b"<html>Please log in")]
    destination = MemoryDestination()
    with ScriptedServer(pages) as server:
        from de_classes.api import NextLink

        source = ApiSource(ApiClient(server.url, retry=ONCE), [Resource("things", "/things", paging=NextLink("next"))])
        told = fails(source, destination, InvalidAnswer)
    assert "/things?page=2" in told
    assert "<html>Please log in" in told
    assert destination.table("things") is None
    assert destination.position("p", Stream("things")) is None


def test_no_such_database_host() -> None:
    """A database server that does not exist is named, and its password is not."""
    told = fails(NUMBERS, PostgresDestination("postgresql://me:hush@no-such-host.invalid/db"), PostgresUnreachable)
    assert "no-such-host.invalid" in told
    assert "hush" not in told


def test_a_table_that_is_not_there(postgres_url: str) -> None:
    """A missing table is named with its schema."""
    told = fails(PostgresSource(postgres_url, tables=["public.nowhere"]), MemoryDestination(), TableNotFound)
    assert "nowhere" in told


def test_a_missing_bucket(s3_server: S3Server) -> None:
    """A missing bucket is named, for writing and for reading."""
    store = s3_server.store("known")
    missing = type(store)(
        "not-there-at-all",
        endpoint=s3_server.endpoint,
        access_key_id=s3_server.access_key_id,
        secret_access_key=s3_server.secret_access_key,
    )
    assert "not-there-at-all" in fails(NUMBERS, DatasetDestination(missing), BucketNotFound)
    assert "not-there-at-all" in fails(DatasetSource(missing), MemoryDestination(), BucketNotFound)


def test_a_wrong_secret_key(s3_server: S3Server) -> None:
    """A wrong key is told as one, and is not shown."""
    store = s3_server.store("guarded", secret_access_key="hush-hush")
    told = fails(NUMBERS, DatasetDestination(store), AccessDenied)
    assert "hush-hush" not in told


def test_a_disk_that_is_full_while_parquet_is_written(tmp_path: Path) -> None:
    """A full disk is one clear error with exit code 1; the dataset stays as it was, and the next run loads it."""
    # A limit on the size of files fails writes as a full disk does, and needs no disk of one's own.
    script = f"""
        import resource, signal, sys
        import numpy as np, pyarrow as pa
        from de_classes.errors import DeClassesError
        from de_classes.pipelines import ArrowSource, Pipeline
        from de_classes.storage.objects import DatasetDestination, LocalStore

        noise = pa.table({{"n": np.random.default_rng(1).integers(0, 2**62, 200_000)}})
        pipeline = Pipeline("p", ArrowSource({{"noise": noise}}), DatasetDestination(LocalStore({str(tmp_path)!r})))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if sys.argv[1] == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            pipeline.run()
        except DeClassesError as error:
            sys.exit(f"{{type(error).__name__}}: {{error}}")
    """
    run = [sys.executable, "-c", textwrap.dedent(script)]
    full = subprocess.run([*run, "full"], capture_output=True, text=True, check=False, env=_env())
    assert full.returncode == 1
    assert full.stderr.startswith("OutOfSpace: "), full.stderr
    assert "Traceback" not in full.stderr
    files = [info.key for info in LocalStore(tmp_path).list()]
    assert not any(key.endswith(".parquet") or "_commits" in key for key in files)
    assert subprocess.run([*run, "space"], check=False, env=_env()).returncode == 0
    assert pa.table(Dataset(LocalStore(tmp_path), "noise")).num_rows == 200_000


def _env() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
