"""Whose store and database are: a tour marks both before it moves anything, and only removes what tours made.

Positions in the database name commits in the store, and both follow from the shop of one folder. So the three belong
together, and another combination is refused at once rather than halfway.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from de_classes.errors import ConfigurationError, ObjectExists, ObjectNotFound, PostgresError
from de_classes.storage.objects import Dataset
from de_classes.storage.objects.probe import probe

from .steps import DATASETS, KEYS
from .world import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .world import World

__all__ = ["Claim", "clear", "look"]

_DEPENDS = "2BP01"
"""SQLSTATE: something that is not to be dropped depends on what is."""

_OF_A_DATASET = re.compile(
    r"_commits/\d{20}\.json|_staged/[0-9a-f]{12}-\d{10}/\w+\.json"
    r"|(data|_quarantine)/[0-9a-f]{12}-\d{10}/[0-9a-f]{32}\.parquet"
)
"""What loads write in a dataset's folder, see `de_classes.storage.objects.log`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The mark of a tour."""

    tour: str
    folder: str

    def refuse_others(self, world: World) -> None:
        """See that store and database are this tour's, or nobody's yet.

        Raises:
            ConfigurationError: they are not; says of each whose it is.

        """
        in_store, in_database = _in_store(world), _in_database(world)
        problems = [
            f"{where} holds what {_whose(found)} moved"
            for where, found in ((_store(world), in_store), (_database(world), in_database))
            if found is not None and found.tour != self.tour
        ]
        if not problems and in_store is None and in_database is not None:
            problems.append(f"{_database(world)} was loaded from another store than {world.store.url}")
        if problems:
            raise ConfigurationError(
                f"the tour in {self.folder}",
                "; ".join(problems),
                "Go on with the folder, store and database that belong together, or begin anew: --fresh",
            )

    def stake(self, world: World) -> None:
        """Mark both, the store first: a database that is marked was loaded from a store that is.

        Raises:
            ConfigurationError: another tour was faster.

        """
        try:
            world.store.put(_mark(world), msgspec.json.encode(self), create_only=True)
        except ObjectExists:
            self.refuse_others(world)
        with world.postgres.connect() as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {SCHEMA}.tour"
                " (one boolean PRIMARY KEY DEFAULT true CHECK (one), tour text NOT NULL, folder text NOT NULL)".encode()
            )
            connection.execute(
                f"INSERT INTO {SCHEMA}.tour (tour, folder) VALUES (%s, %s) ON CONFLICT DO NOTHING".encode(),
                (self.tour, self.folder),
            )
        self.refuse_others(world)


def look(world: World) -> None:
    """See that both answer, and that the store can be trusted with commits.

    Raises:
        StoreError: the store does not, or cannot.
        PostgresError: the database does not.

    """
    world.postgres.fetch("SELECT 1")
    probe(world.store, world.lake)


def clear(world: World) -> None:
    """Remove what tours left in both, and nothing else.

    Raises:
        ConfigurationError: others wrote into a dataset of the tour, or made something of its tables.

    """
    strangers = [told for dataset in _datasets(world) if (told := _strangers(dataset))]
    if strangers:
        raise ConfigurationError(
            "--fresh", "; ".join(strangers), "Remove the datasets yourself, or use another store: --store-url"
        )
    _drop_tables(world)
    for dataset in _datasets(world):
        store = world.store
        # The log goes last, so that a dataset whose clearing was interrupted is still known to be the tour's.
        store.delete(*sorted(_keys(dataset), key=lambda key: "/_commits/" in key))
        store.sweep(dataset.prefix)
    world.store.delete(_mark(world))


def _drop_tables(world: World) -> None:
    if _in_database(world) is None:
        return
    try:
        with world.postgres.connect() as connection:
            row = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.staged",)).fetchone()
            staged = connection.execute(f"SELECT table_name FROM {SCHEMA}.staged".encode()) if row and row[0] else ()
            for table in (*(name for (name,) in staged), *KEYS, "staged", "positions", "tour"):
                connection.execute(f'DROP TABLE IF EXISTS {SCHEMA}."{table}"'.encode())
    except PostgresError as error:
        if error.sqlstate != _DEPENDS:
            raise
        raise ConfigurationError(
            "--fresh", error.fact, "Drop first what was made of the tour's tables; it is not the tour's."
        ) from error


def _in_store(world: World) -> Claim | None:
    try:
        return msgspec.json.decode(world.store.get(_mark(world)), type=Claim)
    except ObjectNotFound:
        return Claim("", "") if any(dataset.log.newest() for dataset in _datasets(world)) else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Claim("", "")


def _in_database(world: World) -> Claim | None:
    """The mark; an empty one where a tour left its bookkeeping and no mark."""
    with world.postgres.connect() as connection:
        names = [f"{SCHEMA}.tour", f"{SCHEMA}.positions"]
        marked, kept = connection.execute("SELECT to_regclass(%s), to_regclass(%s)", names).fetchone() or (None, None)
        row = connection.execute(f"SELECT tour, folder FROM {SCHEMA}.tour".encode()).fetchone() if marked else None
    if row is not None:
        return Claim(*row)
    return Claim("", "") if kept or marked else None


def _strangers(dataset: Dataset) -> str:
    newest = dataset.log.newest()
    others = sorted(set(newest.pipelines) - DATASETS) if newest is not None else []
    return f"{dataset.url} was also written by {', '.join(others)}" if others else ""


def _keys(dataset: Dataset) -> Iterator[str]:
    for info in dataset.store.list(dataset.prefix):
        if _OF_A_DATASET.fullmatch(dataset.key_of(info.key)):
            yield info.key


def _datasets(world: World) -> Sequence[Dataset]:
    names = [
        *(f"{world.lake}/{name}" for name in ("customers", "orders")),
        *(f"{world.mirror}/{name}" for name in KEYS),
    ]
    return [Dataset(world.store, name) for name in names]


def _mark(world: World) -> str:
    return f"{world.lake}/_tour.json"


def _whose(claim: Claim) -> str:
    return f"the tour of {claim.folder}" if claim.folder else "an earlier tour, or somebody else,"


def _store(world: World) -> str:
    return f"{world.store.url}/{world.lake}"


def _database(world: World) -> str:
    return f"schema {SCHEMA} of {world.postgres.address}"
