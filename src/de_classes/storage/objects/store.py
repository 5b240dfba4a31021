"""Object stores: one class, and a constructor for each place where objects rest."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from obstore.store import MemoryStore as ObstoreMemory
from obstore.store import S3Store as ObstoreS3

from de_classes.configs.secrets import Secret, as_secret
from de_classes.errors import ConfigurationError
from de_classes.storage.objects._backend import ObjectInfo, ObjectWriter
from de_classes.storage.objects._keys import check_key, check_prefix, join
from de_classes.storage.objects._remote import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from typing_extensions import Buffer

    from de_classes.storage.objects._backend import Backend

__all__ = [
    "LocalStore",
    "MemoryStore",
    "MinioStore",
    "ObjectInfo",
    "ObjectStore",
    "ObjectWriter",
    "S3Store",
    "open_store",
]

_ALMOST_URL = re.compile(r"[A-Za-z][\w+.-]*:/|(s3|file|memory|https?|postg\w*)(:|//)")
"""What begins so is a misspelt URL rather than the name of a folder, which nobody would look for there."""


class ObjectStore(ABC):
    """Objects under keys such as `orders/2026/part-1.parquet`.

    A store is a description: it touches nothing until it is used, may be shared by threads, and pickles. Every method
    raises InvalidKey before anything else happens, and otherwise AccessDenied, BucketNotFound, StoreUnreachable and
    what it names itself. An object is seen whole or not at all, on every store.
    """

    def __init__(self, url: str, prefix: str = "") -> None:
        self._prefix = check_prefix(prefix)
        self.url = f"{url}/{self._prefix}" if self._prefix else url
        """Where this is, without credentials."""
        self._opened: Backend | None = None
        self._opening = Lock()

    def put(self, key: str, data: Buffer, *, create_only: bool = False, if_match: str | None = None) -> ObjectInfo:
        """Write an object; over what is there unless a condition says otherwise.

        When the answer of a server is lost, the put is tried again on the way, and a condition may then fail because
        the first one succeeded: who depends on it looks at what is there, as the commit log does.

        Args:
            key: its name.
            data: its bytes.
            create_only: only if there is none of that key, else ObjectExists.
            if_match: only if it has this etag, else PreconditionFailed.

        """
        if create_only and if_match is not None:
            raise ConfigurationError(
                self._named(key), "create_only and if_match exclude each other", "Give one of the two."
            )
        view = memoryview(data).cast("B")
        return self._outside(self._backend.put(self._inside(key), view, create_only=create_only, if_match=if_match))

    def get(self, key: str) -> bytes:
        """Read the whole object, or raise ObjectNotFound."""
        return self._backend.get(self._inside(key))

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Read bytes from `start` up to and without `end`; fewer if the object ends before."""
        return self.get_ranges(key, [(start, end)])[0]

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges at once; neighbours are fetched together.

        Raises:
            ConfigurationError: a range is empty, or begins before the object.
            ObjectNotFound: there is none of that key.

        """
        if any(not 0 <= start < end for start, end in ranges):
            raise ConfigurationError(self._named(key), f"no ranges to read: {list(ranges)!r}", "Give 0 <= start < end.")
        return self._backend.get_ranges(self._inside(key), ranges)

    def head(self, key: str) -> ObjectInfo:
        """What is known of the object, or ObjectNotFound."""
        return self._outside(self._backend.head(self._inside(key)))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """Objects in the folder `prefix` and those below it, by key in the order of Unicode, as they come.

        `prefix` names a folder, not the beginning of a name: `list("a")` gives `a/b`, not `ab`. With `after`, only keys
        that follow it in the order.
        """
        within, behind = join(self._prefix, check_prefix(prefix)), join(self._prefix, check_key(after)) if after else ""
        for info in self._backend.list(within, behind):
            yield self._outside(info)

    def folders(self, prefix: str = "") -> Sequence[str]:
        """The folders directly in a folder, in order, as prefixes for `list`."""
        within = join(self._prefix, check_prefix(prefix))
        cut = len(self._prefix) + 1 if self._prefix else 0
        return [folder[cut:] for folder in self._backend.folders(within)]

    def delete(self, *keys: str) -> None:
        """Remove objects; those that are not there are no error."""
        inside = [self._inside(key) for key in keys]
        if inside:
            self._backend.delete(inside)

    def open_writer(self, key: str, *, expected_bytes: int = 0) -> ObjectWriter:
        """Open a binary file that becomes the object when it is closed, and leaves nothing when its `with` fails.

        On S3, what is written beyond 8 MiB goes up in parts while more is written; an object that may become larger
        than 78 GiB must say so in `expected_bytes`, so that its parts suffice: S3 allows 10,000 of them.
        """
        return ObjectWriter(self._backend.sink(self._inside(key), expected_bytes))

    def open_reader(self, key: str, *, size: int | None = None) -> BinaryIO:
        """Open the object as a binary file that can be read anywhere. A known `size` saves asking for it."""
        return self._backend.reader(self._inside(key), size)

    def sweep(self, prefix: str = "") -> int:
        """Remove unfinished files of writers that were killed, and say how many; those of living writers stay.

        Only local folders have such files. On S3 the parts of a killed upload are no object and cannot be listed here;
        let the bucket's lifecycle rule AbortIncompleteMultipartUpload remove them.
        """
        return self._backend.sweep(join(self._prefix, check_prefix(prefix)))

    @abstractmethod
    def _open(self) -> Backend:
        """Open what is described."""

    @property
    def _backend(self) -> Backend:
        opened = self._opened
        if opened is None:
            with self._opening:
                opened = self._opened = self._opened or self._open()
        return opened

    def _inside(self, key: str) -> str:
        return check_key(join(self._prefix, check_key(key)))

    def _outside(self, info: ObjectInfo) -> ObjectInfo:
        if not self._prefix:
            return info
        return ObjectInfo(info.key[len(self._prefix) + 1 :], info.size, info.etag, info.modified)

    def _named(self, key: str) -> str:
        return f"{self.url}/{key}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_opened", "_opening"}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _opened=None, _opening=Lock())


class LocalStore(ObjectStore):
    """Objects as files of a local folder.

    The folder is made by the first write, unless `create` is False: then it must be there. Symbolic links below it are
    neither followed nor listed. `if_match` holds among all who write through a LocalStore on the same machine.
    """

    def __init__(self, root: str | os.PathLike[str], *, create: bool = True) -> None:
        self._root, self._create = os.path.abspath(os.fspath(root)), create  # noqa: PTH100 -- resolves `..`, keeps links
        if "\0" in self._root:
            raise ConfigurationError(f"folder {self._root!r}", "it has a NUL in its name", "Give a path.")
        super().__init__(f"file://{self._root}")

    def _open(self) -> Backend:
        from ._local import LocalFolder  # noqa: PLC0415 -- its locks are those of POSIX, which other stores do without

        return LocalFolder(self._root, create=self._create)


class MemoryStore(ObjectStore):
    """Objects in the memory of this process, for tests and trials."""

    def __init__(self) -> None:
        super().__init__("memory://")

    def _open(self) -> Backend:
        inner = ObstoreMemory()
        return Remote(self.url, inner, inner)

    def __reduce__(self) -> Any:
        raise ConfigurationError(
            self.url,
            "a store in memory cannot be sent to another process",
            "Use threads as workers, or a LocalStore, or an S3Store.",
        )


class S3Store(ObjectStore):
    """Objects of a bucket on S3, or on anything that speaks S3.

    Args:
        bucket: its name.
        region: where the bucket is; servers of one's own mostly do not care.
        endpoint: address of a server other than Amazon's, such as `http://127.0.0.1:9000`.
        path_style: whether the bucket stands in the path rather than in the host's name. None: with an endpoint.
        access_key_id: who asks. Without it, the role of the machine is used.
        secret_access_key: goes with the access key.
        session_token: goes with temporary keys.
        prefix: everything is below this folder of the bucket.
        patience_seconds: during which a request that fails is tried again, once the store has answered before.
        timeout_seconds: how long a single request may take.

    """

    def __init__(  # noqa: PLR0913 -- each is a setting that people know by this name
        self,
        bucket: str,
        *,
        region: str = "us-east-1",
        endpoint: str | None = None,
        path_style: bool | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | Secret | None = None,
        session_token: str | Secret | None = None,
        prefix: str = "",
        patience_seconds: float = 60,
        timeout_seconds: float = 300,
    ) -> None:
        wrong = _wrong_with(bucket, endpoint, patience_seconds, timeout_seconds)
        if (access_key_id is None) != (secret_access_key is None):
            wrong.append("access_key_id and secret_access_key go together")
        if wrong:
            raise ConfigurationError(f"S3 bucket {bucket!r}", "; ".join(wrong), "Correct the arguments of the store.")
        super().__init__(f"s3://{bucket}", prefix)
        self._bucket, self._region, self._endpoint = bucket, region, endpoint
        self._path_style = endpoint is not None if path_style is None else path_style
        self._access_key_id = access_key_id
        self._secret_access_key, self._session_token = as_secret(secret_access_key), as_secret(session_token)
        self._patience_seconds, self._timeout_seconds = patience_seconds, timeout_seconds

    def _open(self) -> Backend:
        # A store that does not answer is told within seconds; one that has answered is given time.
        quick, patient = self._inner(3, min(4, self._patience_seconds)), self._inner(10, self._patience_seconds)
        return Remote(f"s3://{self._bucket}", quick, patient, self._address())

    def _inner(self, retries: int, seconds: float) -> ObstoreS3:
        return ObstoreS3(
            self._bucket,
            region=self._region,
            endpoint=self._address(),
            virtual_hosted_style_request=not self._path_style,
            # A callable, as obstore would mix keys that are given as such with a token from the environment.
            credential_provider=self._credentials if self._access_key_id is not None else None,
            client_options={
                "allow_http": (self._endpoint or "").startswith("http://"),
                "connect_timeout": timedelta(seconds=3),
                "timeout": timedelta(seconds=self._timeout_seconds),
            },
            retry_config={
                "max_retries": retries,
                "retry_timeout": timedelta(seconds=seconds),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=min(5, seconds)),
                    "base": 2,
                },
            },
        )

    def _address(self) -> str:
        if self._endpoint is None:
            host = f"s3.{self._region}.amazonaws.com"
            return f"https://{host}" if self._path_style else f"https://{self._bucket}.{host}"
        if self._path_style:
            return self._endpoint.rstrip("/")
        scheme, _, host = self._endpoint.rstrip("/").partition("://")
        return f"{scheme}://{self._bucket}.{host}"

    def _credentials(self) -> Any:
        token = self._session_token
        secret = self._secret_access_key
        return {
            "access_key_id": self._access_key_id or "",
            "secret_access_key": secret.reveal() if secret else "",
            "token": token.reveal() if token else None,
            "expires_at": None,
        }


class MinioStore(S3Store):
    """Objects of a bucket on a MinIO server: an S3Store whose address and keys must be given."""

    def __init__(  # noqa: PLR0913 -- as S3Store
        self,
        bucket: str,
        endpoint: str,
        access_key_id: str,
        secret_access_key: str | Secret,
        *,
        region: str = "us-east-1",
        prefix: str = "",
        patience_seconds: float = 60,
        timeout_seconds: float = 300,
    ) -> None:
        super().__init__(
            bucket,
            region=region,
            endpoint=endpoint,
            path_style=True,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            prefix=prefix,
            patience_seconds=patience_seconds,
            timeout_seconds=timeout_seconds,
        )


def open_store(url: str) -> ObjectStore:
    """Make the store that a URL names: `s3://bucket/prefix`, `file:///folder`, `/folder` or `memory://`.

    For S3, what the URL does not say is read here from AWS_ENDPOINT_URL, AWS_REGION (or AWS_DEFAULT_REGION) and
    AWS_ACCESS_KEY_ID; AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN are read whenever they are needed, so that they are
    in no pickle.

    Raises:
        ConfigurationError: the URL is of no kind that is known, or holds credentials.

    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        if not url:
            raise _no_store(url, "the URL is empty")
        if _ALMOST_URL.match(url):
            raise _no_store(url, "looks like a URL, and is none")
        return LocalStore(url)
    parts = urlsplit(url)
    if scheme == "s3" and "@" in parts.netloc:
        raise ConfigurationError(
            f"{scheme}:// URL", "credentials do not belong into it", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if scheme == "memory" and not parts.netloc.strip("/") and not parts.path.strip("/"):
        return MemoryStore()
    if scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return LocalStore(unquote(parts.path))
    if scheme == "s3" and parts.netloc:
        return _s3_from_environment(parts.netloc, unquote(parts.path))
    raise _no_store(url, "no store has such a URL")


def _no_store(url: str, fact: str) -> ConfigurationError:
    shown = url.rpartition("@")[2]  # who mistakes a database for a store has written its password, too
    return ConfigurationError(
        f"store {shown!r}", fact, "Give s3://bucket/prefix, file:///folder, /folder or memory://."
    )


def _s3_from_environment(bucket: str, prefix: str) -> S3Store:
    known = os.environ.get("AWS_ACCESS_KEY_ID") or None
    return S3Store(
        bucket,
        prefix=prefix,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        endpoint=os.environ.get("AWS_ENDPOINT_URL") or None,
        access_key_id=known,
        secret_access_key=Secret.from_env("AWS_SECRET_ACCESS_KEY") if known else None,
        session_token=Secret.from_env("AWS_SESSION_TOKEN") if known and os.environ.get("AWS_SESSION_TOKEN") else None,
    )


def _wrong_with(bucket: str, endpoint: str | None, patience_seconds: float, timeout_seconds: float) -> list[str]:
    wrong = []
    if not bucket or "/" in bucket:
        wrong.append("the bucket's name is empty or has a slash")
    if endpoint is not None and "@" in endpoint:
        wrong.append("the endpoint has credentials in it")
    elif endpoint is not None and not endpoint.startswith(("http://", "https://")):
        wrong.append(f"the endpoint {endpoint!r} does not begin with http:// or https://")
    if patience_seconds <= 0 or timeout_seconds <= 0:
        wrong.append("patience_seconds and timeout_seconds must be more than 0 seconds")
    return wrong


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.store")
