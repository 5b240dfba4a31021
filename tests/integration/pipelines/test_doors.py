from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from de_classes.pipelines._doors import arrow, named, pipeline
from de_classes.storage.objects._doors import source, store
from de_classes.storage.postgres import PostgresClient

if TYPE_CHECKING:
    from pathlib import Path

    from de_classes.testing.s3 import S3Server

Capture = pytest.CaptureFixture[str]
NIGHTLY = """
import pyarrow as pa
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.objects import DatasetDestination, LocalStore

shop = Pipeline("shop", ArrowSource({"orders": pa.table({"id": [1]})}), DatasetDestination(LocalStore("lake")))
"""


def test_a_pipeline_of_ones_own(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline in a module is planned and run, with its progress aside; what is none is a mistake."""
    (tmp_path / "nightly_job.py").write_text(NIGHTLY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert pipeline.main(["nightly_job:shop", "--plan"]) == 0
    assert "orders -> orders (append): from the beginning, 1 split" in capsys.readouterr().out
    assert not (tmp_path / "lake").exists()
    assert pipeline.main(["nightly_job:shop"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("orders -> orders: 1 rows\n1 rows, ")
    assert "finished" in told.err
    assert pipeline.main(["nightly_job:pa"]) == 2
    assert pipeline.main(["no_such_job:shop"]) == 2
    assert "no pipeline" in capsys.readouterr().err
    (tmp_path / "lacking_job.py").write_text("import no_such_module")
    assert pipeline.main(["lacking_job:shop"]) == 2
    assert "needs another: No module named 'no_such_module'" in capsys.readouterr().err


def test_from_a_file_to_a_table(tmp_path: Path, postgres_url: str, capsys: Capture) -> None:
    """A Parquet file is loaded once, however often it is asked; what cannot be loaded is told beforehand, too."""
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "orders.parquet")
    asked = [str(tmp_path / "orders.parquet"), postgres_url, "--mode", "append"]
    for _ in range(2):
        assert arrow.main([*asked, "--verify", "values"]) == 0
    assert "2 rows, checksum " in capsys.readouterr().out
    assert PostgresClient(postgres_url).fetch("SELECT id FROM orders ORDER BY 1") == [(1,), (2,)]
    merged = [*asked[:2], "--mode", "merge"]
    assert arrow.main(merged) == 2
    assert "it has no primary key" in capsys.readouterr().err
    assert arrow.main([str(tmp_path / "no.such"), postgres_url]) == 2


@pytest.mark.parametrize("url", ["postgres//me:hush@host/shop", "postgre://me:hush@host/shop", "postgresql:/host/shop"])
def test_a_misspelt_server_is_no_folder(
    url: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL with a letter too few loads nothing into a folder of that name, and its password is not repeated."""
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "orders.parquet")
    assert arrow.main(["orders.parquet", url]) == 2
    told = capsys.readouterr().err
    assert "postgresql://user:password@host" in told
    assert "hush" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["orders.parquet"]


def test_a_mode_is_chosen_by_its_name(capsys: Capture) -> None:
    """A mode that there is not is answered with those that there are, as they are written."""
    with pytest.raises(SystemExit):
        arrow.main(["orders.parquet", "lake", "--mode", "upsert"])
    told = capsys.readouterr().err.replace("'", "")  # Python 3.12 and later quote no choices
    assert "(choose from append, replace, merge, history)" in told


def test_files_of_others_into_a_table(tmp_path: Path, postgres_url: str, capsys: Capture) -> None:
    """Files that a pattern finds are merged by their key, once each; a pattern without a stream is a mistake."""
    (tmp_path / "orders-1.csv").write_text("id,total\n1,9.90\n2,\n")
    asked = ["object-store-to-postgres", str(tmp_path), postgres_url, "--guess", "--null", "", "--key", "id"]
    for _ in range(2):
        assert named.main([*asked, "--files", "orders=orders-*.csv"]) == 0
    assert "0 rows, 0 bytes" in capsys.readouterr().out
    assert PostgresClient(postgres_url).fetch("SELECT id, total::text FROM orders ORDER BY 1") == [
        (1, "9.90"),
        (2, None),
    ]
    assert named.main([*asked, "--files", "orders-*.csv"]) == 2
    assert "Write name=value" in capsys.readouterr().err


def test_out_to_s3_and_back(
    s3_server: S3Server, postgres_url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables go to S3 and come back as others, with keys from the environment, and no secret is shown."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    s3_server.store("doors")
    PostgresClient(postgres_url).run("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 9) n")
    out = ["postgres-to-object-store", postgres_url, "s3://doors", "--table", "orders"]
    assert named.main([*out, "--plan"]) == 0
    assert "orders -> orders (replace)" in capsys.readouterr().out
    assert named.main(out) == 0
    assert source.main(["s3://doors"]) == 0
    assert store.main(["ls", "s3://doors", "orders/_commits"]) == 0
    assert "00000000000000000001.json" in capsys.readouterr().out
    back = ["object-store-to-postgres", "s3://doors", postgres_url, "--schema", "copies", "--mode", "append"]
    assert named.main([*back, "--stream", "nothing"]) == 2
    assert named.main(back) == 0
    assert PostgresClient(postgres_url).fetch("SELECT count(*) FROM copies.orders") == [(9,)]
    told = capsys.readouterr()
    assert "the source has no stream 'nothing'" in told.err
    assert s3_server.secret_access_key not in told.out + told.err
