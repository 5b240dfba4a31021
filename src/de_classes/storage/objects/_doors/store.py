"""`python -m de_classes.storage.objects.store`: objects, listed, read and written."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from de_classes._doors.frame import door, read_bytes, run, say, whole_file
from de_classes.errors import ConfigurationError
from de_classes.storage.objects.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from de_classes.storage.objects.store import ObjectInfo, ObjectStore

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """List, read, write or remove objects."""
    parser = door(
        "storage.objects.store",
        "List, read, write and remove objects of a store: a folder, or s3://bucket/prefix. For S3, AWS_ENDPOINT_URL,"
        "\nAWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are read from the environment.",
        "ls s3://lake orders",
        "get s3://lake orders/2026.csv > orders.csv",
        "put lake/ orders/2026.csv --from orders.csv --create-only",
        "rm lake/ orders/2026.csv",
    )
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("key", nargs="?", default="", help="the object; for ls a folder, else everything is listed")
    parser.add_argument("--from", dest="origin", default="-", metavar="FILE", help="for put; default: standard input")
    parser.add_argument("--to", metavar="FILE", help="for get; default: standard output")
    parser.add_argument("--create-only", action="store_true", help="for put: fail where there is such an object")
    return run(parser, _act, arguments)


def _act(asked: argparse.Namespace) -> None:
    if not asked.key and asked.action != "ls":
        raise ConfigurationError(asked.action, "it needs the key of an object", "See --help.")
    _ACTIONS[asked.action](open_store(asked.store), asked)


def _list(store: ObjectStore, asked: argparse.Namespace) -> None:
    for info in store.list(asked.key):
        _tell(info)


def _head(store: ObjectStore, asked: argparse.Namespace) -> None:
    info = store.head(asked.key)
    _tell(info)
    say(f"etag {info.etag}")


def _get(store: ObjectStore, asked: argparse.Namespace) -> None:
    with store.open_reader(asked.key) as object_:
        if asked.to is None:
            shutil.copyfileobj(object_, sys.stdout.buffer)
            return
        with whole_file(asked.to) as file:
            shutil.copyfileobj(object_, file)


def _put(store: ObjectStore, asked: argparse.Namespace) -> None:
    _tell(store.put(asked.key, read_bytes(asked.origin), create_only=asked.create_only))


def _remove(store: ObjectStore, asked: argparse.Namespace) -> None:
    store.head(asked.key)  # `delete` is content with what is not there; who types a name wants to know
    store.delete(asked.key)


def _tell(info: ObjectInfo) -> None:
    when = "" if info.modified is None else info.modified.isoformat(timespec="seconds")
    say(f"{info.size:>14,}  {when:25}  {info.key}")


_ACTIONS: dict[str, Callable[[ObjectStore, Any], None]] = {
    "ls": _list,
    "head": _head,
    "get": _get,
    "put": _put,
    "rm": _remove,
}
