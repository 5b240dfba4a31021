"""The parts that the tour runs on: started here when none are given."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError
from de_classes.storage.objects import LocalStore, open_store
from de_classes.storage.postgres import PostgresClient
from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.testing.shop import ShopProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.storage.objects import ObjectStore

    from .options import TourOptions
    from .state import ShopState

__all__ = ["SCHEMA", "World", "open_shop", "open_world"]

SCHEMA = "de_classes_tour"
"""The PostgreSQL schema of the tour's tables and of the bookkeeping that belongs to them."""

TROUBLES = ("--rate429", "0.05", "--rate500", "0.05", "--drop", "0.05", "--slow", "0.05")
"""Of a hundred requests to the shop, twenty meet trouble; which ones follows from the seed."""

LOGIN_LASTS = "3"
"""Seconds: logins end while the tour is under way."""


@dataclass(frozen=True, slots=True)
class World:
    """Where the tour's tables come to rest."""

    store: ObjectStore
    lake: str
    """The folder of the store for what came from the API."""
    mirror: str
    """The folder of the store for what came back from the warehouse."""
    postgres: PostgresClient


@contextmanager
def open_world(options: TourOptions) -> Iterator[World]:
    """Start what is not given; stop it afterwards."""
    store = _store(options)
    with ExitStack() as parts:
        url = options.postgres_url
        if url is None:
            url = parts.enter_context(EmbeddedPostgres(options.folder / "postgres")).url
        yield World(store, options.lake, options.mirror, PostgresClient(url))


@contextmanager
def open_shop(shop: ShopState) -> Iterator[str]:
    """Start the shop, with its troubles; gives the URL of its API."""
    troubles = (*TROUBLES, "--trouble-seed", str(shop.seed), "--token-seconds", LOGIN_LASTS)
    with ShopProcess(shop.orders, seed=shop.seed, day=shop.day, options=troubles) as api:
        yield api.url


def _store(options: TourOptions) -> ObjectStore:
    store = open_store(options.store_url) if options.store_url else LocalStore(options.folder / "store")
    if isinstance(store, LocalStore):
        root = Path(store.url.removeprefix("file://"))
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fact = "it is a file, not a folder" if root.is_file() else error.strerror or str(error)
            raise ConfigurationError(f"store {root}", fact, "Give another folder: --store-url elsewhere") from error
    return store
