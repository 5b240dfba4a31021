from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from de_classes.errors import AccessDenied, InvalidKey, PreconditionFailed, StoreError, UnsafeStore
from de_classes.storage.objects import LocalStore
from de_classes.storage.objects._errors import no_links
from de_classes.storage.objects._local import locked
from de_classes.storage.objects.probe import probe
from tests.unit.storage.objects.verbs import keys

SOURCE = str(Path(__file__).parents[4] / "src")


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another Python, in which `code` runs and prints."""
    return subprocess.Popen(
        [sys.executable, "-c", dedent(code), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return LocalStore(tmp_path / "root")


@pytest.mark.parametrize("verb", ["get", "head", "open_reader", "open_writer", "delete", "put"])
def test_links_are_not_followed(store: LocalStore, tmp_path: Path, verb: str) -> None:
    """A symbolic link below the root is refused, as a folder and as a file, and what it leads to stays as it is."""
    store.put("a", b"x")
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "file").symlink_to(tmp_path / "outside" / "secret")
    arguments = (b"y",) if verb == "put" else ()
    for key in ("folder/secret", "file"):
        with pytest.raises(InvalidKey, match="symbolic link"):
            getattr(store, verb)(key, *arguments)
    assert keys(store) == ["a"]
    assert list(store.folders()) == []
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"a\\b.csv", b"a\nb.csv"])
def test_files_of_names_that_are_no_keys_are_told(store: LocalStore, tmp_path: Path, name: bytes) -> None:
    """A file that another program put there is not left out in silence."""
    store.put("a", b"x")
    (tmp_path / "root" / os.fsdecode(name)).write_bytes(b"x")
    with pytest.warns(UserWarning, match="root has the file .* left out: it "):
        assert keys(store) == ["a"]


def test_the_root_may_be_a_link(store: LocalStore, tmp_path: Path) -> None:
    """Where the root itself leads is the user's choice."""
    store.put("a", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert LocalStore(tmp_path / "link").get("a") == b"x"


def test_folders_go_with_their_last_object(store: LocalStore, tmp_path: Path) -> None:
    """As in any object store, a folder is there as long as something is in it."""
    store.put("a/b/c", b"x")
    store.put("a/d", b"x")
    store.delete("a/b/c")
    assert files(tmp_path / "root") == {"a", "a/d"}


def test_an_object_is_no_folder(store: LocalStore) -> None:
    """What a file system cannot hold, an object below an object, is told shortly."""
    store.put("a", b"x")
    for key in ("a/b", "a/b/c"):
        with pytest.raises(StoreError, match="file system says"):
            store.put(key, b"x")
    store.put("d/e", b"x")
    with pytest.raises(StoreError, match="a folder of that name"):
        store.put("d", b"x")
    store.delete("d")
    assert keys(store) == ["a", "d/e"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has folders in which nothing can be made")
def test_a_folder_that_cannot_be_made_is_told() -> None:
    """A place in which the file system makes nothing is an error, and not waited for."""
    with pytest.raises(StoreError, match="/proc/nowhere"):
        LocalStore("/proc/nowhere").put("a", b"x")


@pytest.mark.parametrize("how", ["put", "create", "write"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, how: str) -> None:
    """When the space ends in the middle of an object, OutOfSpace is raised and not a byte stays."""
    ran = child(
        """
        import resource, sys
        from de_classes.errors import OutOfSpace
        from de_classes.storage.objects import LocalStore
        store, how = LocalStore(sys.argv[1]), sys.argv[2]
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        data = bytes(3_000_000)
        try:
            if how == "write":
                with store.open_writer("a/b") as file:
                    file.write(data[:10])
                    file.write(data)
            else:
                store.put("a/b", data, create_only=how == "create")
        except OutOfSpace as error:
            print(error)
        """,
        str(tmp_path / "root"),
        how,
    )
    told, errors = ran.communicate(timeout=30)
    assert "no space left" in told, errors
    assert files(tmp_path / "root") == set()


def test_the_leftovers_of_a_killed_writer_are_swept(store: LocalStore, tmp_path: Path) -> None:
    """A writer that was killed leaves a file that nobody lists; sweeping removes it, and only it."""
    writer = child(
        """
        import signal, sys
        from de_classes.storage.objects import LocalStore
        file = LocalStore(sys.argv[1]).open_writer("a/b")
        file.write(b"half")
        print("ready", flush=True)
        signal.pause()
        """,
        str(tmp_path / "root"),
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        assert store.sweep() == 0
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=30)
    store.put("a/c", b"x")
    assert len(files(tmp_path / "root")) == 3
    assert keys(store) == ["a/c"]
    assert store.sweep("a") == 1
    assert files(tmp_path / "root") == {"a", "a/c"}


def test_permission_is_told_as_such(store: LocalStore, tmp_path: Path) -> None:
    """A folder that may not be written is AccessDenied, not a failure of ours."""
    if os.getuid() == 0:
        pytest.skip("root may write anywhere")
    store.put("a", b"x")
    (tmp_path / "root").chmod(0o500)
    try:
        with pytest.raises(AccessDenied):
            store.put("b", b"x")
    finally:
        (tmp_path / "root").chmod(0o700)


def test_a_file_system_without_links_is_refused() -> None:
    """Where nothing can be created atomically, that is said; another failure stays what it is."""
    assert isinstance(no_links(OSError(95, "Operation not supported"), "a"), UnsafeStore)
    assert no_links(OSError(28, "No space left on device"), "a") is None


def test_versions_written_at_once_differ(store: LocalStore) -> None:
    """Etags differ even between versions of one size that follow each other faster than the kernel's clock ticks."""
    etags = [store.put("a", b"x").etag for _ in range(100)]
    assert len(set(etags)) == 100


def test_a_probe_that_was_killed_goes_with_one_an_hour_later(tmp_path: Path) -> None:
    """An hour-old object of a probe is removed, one that may be a live probe's is not."""
    old, young = tmp_path / "_probe" / "old", tmp_path / "_probe" / "young"
    old.parent.mkdir()
    for left in (old, young):
        left.write_bytes(b"1")
    os.utime(old, (0, 0))
    probe(LocalStore(tmp_path))
    assert list(old.parent.iterdir()) == [young]


def test_who_puts_and_deletes_does_not_wait_for_others_who_do(store: LocalStore, tmp_path: Path) -> None:
    """A process that is stopped while it puts or deletes holds up nobody but who puts on a condition."""
    etag = store.put("a", b"1").etag
    with ThreadPoolExecutor(1) as other:
        with locked(tmp_path / "root", alone=False):
            conditional = other.submit(store.put, "a", b"3", if_match=etag)
            store.put("a", b"2")
            store.delete("a")
        with pytest.raises(PreconditionFailed):
            conditional.result()
