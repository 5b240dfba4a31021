"""What every store does, on those that need no server; tests/integration puts S3 through the same."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from de_classes.configs.secrets import Secret
from de_classes.errors import BucketNotFound, ConfigurationError
from de_classes.storage.objects import (
    Dataset,
    DatasetDestination,
    DatasetSource,
    Files,
    FileSource,
    LocalStore,
    MemoryStore,
    MinioStore,
    ObjectStore,
    S3Store,
    open_store,
)
from tests.unit.storage.objects.verbs import StoreVerbs

if TYPE_CHECKING:
    from collections.abc import Callable


class TestLocalStore(StoreVerbs):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "root")


class TestMemoryStore(StoreVerbs):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


def test_nothing_is_touched_before_it_is_used(tmp_path: Path) -> None:
    """Constructing a store makes no folder and opens no connection."""
    LocalStore(tmp_path / "root")
    S3Store("bucket", endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key="b")
    assert list(tmp_path.iterdir()) == []


def test_a_local_store_may_insist_on_its_folder(tmp_path: Path) -> None:
    """With create=False, a folder that is not there is an error rather than an empty store."""
    with pytest.raises(BucketNotFound, match="no such folder"):
        list(LocalStore(tmp_path / "root", create=False).list())
    assert list(LocalStore(tmp_path / "root").list()) == []


def test_local_stores_pickle(tmp_path: Path) -> None:
    """A copy that went through pickle sees the same objects."""
    store = LocalStore(tmp_path)
    store.put("a", b"1")
    assert pickle.loads(pickle.dumps(store)).get("a") == b"1"


def test_memory_does_not_pickle() -> None:
    """What is in the memory of one process cannot be sent to another, and says so."""
    with pytest.raises(ConfigurationError, match="cannot be sent"):
        pickle.dumps(MemoryStore())


def test_secrets_are_not_shown() -> None:
    """Neither the repr nor the pickle of a store with secrets from the environment holds them."""
    shown = S3Store("lake", access_key_id="someone", secret_access_key="hush-hush", session_token="psst-psst")
    assert "hush" not in repr(shown)
    assert "psst" not in repr(vars(shown))
    named = S3Store("lake", access_key_id="someone", secret_access_key=Secret.from_env("HUSH"))
    assert b"HUSH" in pickle.dumps(named)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A constructor names every argument that cannot be."""
    with pytest.raises(ConfigurationError) as caught:
        S3Store("a/b", endpoint="localhost:9000", access_key_id="x", patience_seconds=0)
    for part in ("bucket", "localhost:9000", "secret_access_key", "patience"):
        assert part in str(caught.value)


def test_credentials_in_an_endpoint_are_refused_unseen() -> None:
    """An address with a password in it is refused, and the password is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        S3Store("lake", endpoint="http://me:hush@localhost:9000")
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        open_store("s3://me:hush@lake/orders")
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="no store has such a URL") as caught:
        open_store("postgresql://me:hush@host/shop")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("memory://", MemoryStore, "memory://"),
        ("/some/folder", LocalStore, "file:///some/folder"),
        ("/some/../folder/", LocalStore, "file:///folder"),
        ("/some/s3:/lake", LocalStore, "file:///some/s3:/lake"),
        ("file:///some/fol%20der", LocalStore, "file:///some/fol der"),
        ("s3://lake", S3Store, "s3://lake"),
        ("s3://lake/a/b/", S3Store, "s3://lake/a/b"),
    ],
)
def test_urls_name_stores(url: str, kind: type[ObjectStore], shown: str) -> None:
    """Each form of URL makes the store it names."""
    store = open_store(url)
    assert type(store) is kind
    assert store.url == shown


OTHERS = ["", "http://somewhere", "s3://", "s3:///key", "file://host/path", "memory://x"]
ALMOST = ["s3:/lake", "s3//lake", "s3:lake", "file:/lake", "postgres//me@host/shop", "gs:/lake"]


@pytest.mark.parametrize("url", OTHERS + ALMOST)
def test_other_urls_are_refused(url: str) -> None:
    """A URL that names no store is the user's mistake, told with the forms that there are."""
    with pytest.raises(ConfigurationError, match="s3://bucket/prefix"):
        open_store(url)


def test_the_environment_is_read_when_a_url_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, region and endpoint come from the usual variables; secrets stay there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    store = open_store("s3://lake")
    assert b"hush" not in pickle.dumps(store)
    assert vars(store)["_endpoint"] == "http://127.0.0.1:1"
    assert vars(store)["_region"] == "eu-central-1"


def test_minio_is_s3_with_an_address() -> None:
    """The constructor that people look for takes what MinIO needs."""
    store = MinioStore("lake", "http://127.0.0.1:9000", "minio", "hush", prefix="bronze")
    assert isinstance(store, S3Store)
    assert repr(store) == "MinioStore('s3://lake/bronze')"


@pytest.mark.parametrize("store", ["lake", Path("lake")])
def test_the_name_of_a_folder_is_no_store(store: Any) -> None:
    """Whoever needs a store and is given a text or a path says how to make one of it."""
    makers: list[Callable[[Any], object]] = [
        DatasetDestination,
        DatasetSource,
        lambda given: Dataset(given, "orders"),
        lambda given: FileSource(given, {"orders": Files("*.csv")}),
    ]
    for made in makers:
        with pytest.raises(ConfigurationError, match=r"LocalStore\('lake'\)"):
            made(store)
