"""The parts that the tour runs on: started here when none are given."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_classes.storage.objects import LocalStore, open_store
from de_classes.storage.postgres import PostgresClient
from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.testing.shop import ShopProcess

from .state import cleared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.storage.objects import ObjectStore

    from .options import TourOptions
    from .state import ShopState

__all__ = ["LAKE", "MIRROR", "SCHEMA", "World", "open_world"]

LAKE, MIRROR = "lake", "mirror"
"""The folders of the store: what came from the API, and what came back from the warehouse."""

SCHEMA = "de_classes_tour"
"""The PostgreSQL schema of the tour's tables and of the bookkeeping that belongs to them."""

TROUBLES = ("--rate429", "0.05", "--rate500", "0.05", "--drop", "0.05", "--slow", "0.05")
"""Of a hundred requests to the shop, twenty meet trouble; which ones follows from the seed."""

LOGIN_LASTS = "3"
"""Seconds: logins end while the tour is under way."""


@dataclass(frozen=True, slots=True)
class World:
    """Where the tour takes place."""

    api_url: str
    store: ObjectStore
    postgres: PostgresClient
    embedded: EmbeddedPostgres | None
    """The database, if it was started for this tour and ends with it."""


@contextmanager
def open_world(options: TourOptions, shop: ShopState) -> Iterator[World]:
    """Start what is not given; stop it afterwards."""
    with ExitStack() as parts:
        store = open_store(options.store_url) if options.store_url else LocalStore(options.folder / "store")
        embedded = None
        url = options.postgres_url
        if url is None:
            embedded = parts.enter_context(EmbeddedPostgres(options.folder / "postgres"))
            url = embedded.url
        postgres = PostgresClient(url)
        if shop.clearing:
            _clear(store, postgres)
            cleared(options, shop)
        troubles = (*TROUBLES, "--trouble-seed", str(shop.seed), "--token-seconds", LOGIN_LASTS)
        api = parts.enter_context(ShopProcess(shop.orders, seed=shop.seed, day=shop.day, options=troubles))
        yield World(api.url, store, postgres, embedded)


def _clear(store: ObjectStore, postgres: PostgresClient) -> None:
    """Remove what earlier tours left in both, and nothing else."""
    postgres.run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    for folder in (LAKE, MIRROR):
        store.delete(*[found.key for found in store.list(folder)])
