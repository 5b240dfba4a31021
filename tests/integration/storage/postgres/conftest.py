"""What the tests of this folder share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from de_classes.storage.postgres import PostgresClient
from de_classes.testing.postgres import EmbeddedPostgres


@pytest.fixture
def client(postgres_url: str) -> PostgresClient:
    return PostgresClient(postgres_url)


@pytest.fixture
def latin_client(postgres_server: EmbeddedPostgres) -> Iterator[PostgresClient]:
    """A database that has 256 characters."""
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        yield PostgresClient(postgres_server.url_of("latin"))
        admin.execute("DROP DATABASE latin WITH (FORCE)")


@pytest.fixture(scope="module")
def module_client(postgres_server: EmbeddedPostgres) -> Iterator[PostgresClient]:
    """A database for all tests of a module: for properties, whose many examples are too fast for one each."""
    name = f"module_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 STRATEGY file_copy')
        yield PostgresClient(postgres_server.url_of(name))
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
