from __future__ import annotations

import json
import sys
from decimal import Decimal
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.objects import Dataset, DatasetDestination, LocalStore
from de_classes.storage.objects._doors import (
    csv,
    dataset,
    destination,
    files,
    log,
    ndjson,
    parquet,
    probe,
    source,
    store,
)

Capture = pytest.CaptureFixture[str]
ORDERS = pa.table({"id": [1, 2], "total": [Decimal("9.90"), None]})


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """A folder with a dataset of two commits."""
    root = tmp_path / "lake"
    nightly = DatasetDestination(LocalStore(root))
    for table in (ORDERS, ORDERS.slice(0, 1)):
        tables = ArrowSource({"orders": table}, primary_key=["id"], version=table.num_rows)
        Pipeline("nightly", tables, nightly, mode="append").run()
    return str(root)


class TestStore:
    def test_puts_lists_gets_and_removes(
        self, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An object goes from standard input to the store, is listed, comes back byte for byte, and goes."""
        there = str(tmp_path / "store")
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"\x00\xff")))
        assert store.main(["put", there, "a/b.bin"]) == 0
        assert store.main(["ls", there, "a"]) == 0
        told = capfdbinary.readouterr().out
        assert told.count(b"a/b.bin") == 2
        assert store.main(["get", there, "a/b.bin"]) == 0
        assert capfdbinary.readouterr().out == b"\x00\xff"
        assert store.main(["get", there, "a/b.bin", "--to", str(tmp_path / "copy")]) == 0
        assert (tmp_path / "copy").read_bytes() == b"\x00\xff"
        assert store.main(["get", there, "a/b.bin", "--to", "/dev/null"]) == 0
        assert not Path("/dev/null").is_file()
        assert store.main(["rm", there, "a/b.bin"]) == 0
        assert store.main(["rm", there, "a/b.bin"]) == 1

    @pytest.mark.parametrize(
        ("wrong", "code", "fact"),
        [
            (["get", "s3://key:secret@bucket", "x"], 2, "credentials do not belong into it"),
            (["get", "nowhere/", ""], 2, "it needs the key"),
            (["put", "nowhere/", "x", "--from", "no.such"], 2, "cannot be read"),
            (["get", "nowhere/", "../x"], 2, "../x"),
        ],
    )
    def test_what_went_wrong_is_one_message(self, wrong: list[str], code: int, fact: str, capsys: Capture) -> None:
        """Mistakes end with 2 and one message on stderr, without a traceback and without secrets."""
        assert store.main(wrong) == code
        told = capsys.readouterr()
        assert fact in told.err
        assert "Traceback" not in told.err
        assert "secret" not in told.err
        assert told.out == ""


class TestDataset:
    def test_shows_rows_commits_and_the_past(self, lake: str, capsys: Capture) -> None:
        """What is there is told with its columns, written as rows, also as of a commit, and its commits are listed."""
        assert dataset.main([lake, "orders"]) == 0
        told = capsys.readouterr().out
        assert "commit 2" in told
        assert "3 rows in 2 files" in told
        assert "id  int64  primary key" in told
        assert dataset.main([lake, "orders", "rows", "--as-of", "1"]) == 0
        rows = capsys.readouterr().out.splitlines()
        assert [json.loads(row)["id"] for row in rows] == [1, 2]
        assert rows[0] == '{"id":1,"total":9.90}'
        assert log.main([lake, "orders"]) == 0
        assert "+1 rows in 1 files, 3 in all" in capsys.readouterr().out
        assert destination.main([lake, "nightly"]) == 0
        assert capsys.readouterr().out == 'orders: {"version": 1}\n'

    def test_compacts_and_vacuums(self, lake: str, capsys: Capture) -> None:
        """Small files become one, what they were goes, and the rows stay."""
        assert dataset.main([lake, "orders", "compact"]) == 0
        assert dataset.main([lake, "orders", "vacuum", "--keep-seconds", "0"]) == 0
        told = capsys.readouterr().out
        assert "2 files became 1, with 3 rows" in told
        assert "2 files removed" in told
        assert pa.table(Dataset(LocalStore(lake), "orders")).num_rows == 3

    @pytest.mark.parametrize(
        ("asked", "code"), [(["other"], 1), (["orders", "--as-of", "x"], 2), (["orders", "--as-of", "9"], 1)]
    )
    def test_what_is_not_there(self, lake: str, asked: list[str], code: int, capsys: Capture) -> None:
        """A dataset or a moment that is not there is told, each with its code."""
        assert dataset.main([lake, *asked]) == code
        assert capsys.readouterr().err


class TestSource:
    def test_lists_and_reads_on(self, lake: str, tmp_path: Path, capsys: Capture) -> None:
        """Datasets are listed; one is written as a file, and then from the position on that was told."""
        assert source.main([lake]) == 0
        assert capsys.readouterr().out == "orders  2 columns  key id\n"
        target = str(tmp_path / "orders.parquet")
        assert source.main([lake, "orders", "--format", "parquet", "--to", target]) == 0
        assert pq.read_table(target).num_rows == 3
        position = capsys.readouterr().err.splitlines()[1].partition(": ")[2]
        assert source.main([lake, "orders", "--since", position, "--format", "csv"]) == 0
        assert capsys.readouterr().err.startswith("0 records\n")
        assert source.main([lake, "orders", "--since", "7"]) == 2

    def test_a_format_that_does_not_hold_it(self, tmp_path: Path, capsys: Capture) -> None:
        """Nested columns in CSV, and moments beyond Python's in NDJSON, are a mistake; no half file is left."""
        far = pa.table({"at": pa.array([2**62], pa.timestamp("us")), "tags": [["a"]]})
        Pipeline("far", ArrowSource({"far": far}), DatasetDestination(LocalStore(tmp_path)), mode="replace").run()
        assert source.main([str(tmp_path), "far", "--format", "csv"]) == 2
        target = tmp_path / "far.ndjson"
        assert source.main([str(tmp_path), "far", "--to", str(target)]) == 2
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(target.name)]
        assert capsys.readouterr().err.count("parquet") == 2


def test_a_store_is_probed(tmp_path: Path, capsys: Capture) -> None:
    """Whether a store keeps to conditions is told."""
    assert probe.main([str(tmp_path)]) == 0
    assert "can be committed to" in capsys.readouterr().out


def test_files_of_others_are_rows(tmp_path: Path, capsys: Capture) -> None:
    """Files of a pattern are one table, with the file of each row; a plan only tells."""
    (tmp_path / "a.csv").write_text("id;total\n1;9.90\n")
    (tmp_path / "b.csv").write_text("id;total\n2;3.50\n")
    asked = [str(tmp_path), "*.csv", "--delimiter", ";", "--null", "", "--guess", "--file-column", "file"]
    assert files.main(asked) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["id"], row["file"]) for row in rows] == [(1, "a.csv"), (2, "b.csv")]
    assert files.main([*asked, "--plan"]) == 0
    assert "1 splits" in capsys.readouterr().out
    assert files.main([*asked, "--allowed-misfits", "7"]) == 2


@pytest.mark.parametrize(
    ("door", "options", "begins"),
    [
        (csv, ["--null", "\\N", "--delimiter", ";"], b"id;total\n1;9.90\n2;\\N\n"),
        (ndjson, [], b'{"id":1,"total":"9.90"}\n'),
        (parquet, ["--level", "9"], b"PAR1"),
    ],
)
def test_formats_convert(door: Any, options: list[str], begins: bytes, tmp_path: Path, capsys: Capture) -> None:
    """A Parquet file is written in another format as a dataset would; what is none is one clear error."""
    pq.write_table(ORDERS, tmp_path / "orders.parquet")
    target = tmp_path / "out"
    assert door.main([str(tmp_path / "orders.parquet"), str(target), *options]) == 0
    assert target.read_bytes().startswith(begins)
    assert "2 rows" in capsys.readouterr().out
    assert door.main([str(target.with_name("no.such")), str(target)]) == 2
    assert "cannot be read" in capsys.readouterr().err
