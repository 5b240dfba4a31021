from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from de_classes.configs.secrets import Secret
from de_classes.contracts import Mode, Stream
from de_classes.errors import (
    ConfigurationError,
    DeClassesError,
    PostgresError,
    PostgresLoginFailed,
    PostgresUnreachable,
)
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.storage.postgres.read import AdbcReader, Selection
from de_classes.storage.postgres.types import Column, PgType
from de_classes.testing.postgres import EmbeddedPostgres

SELECTION = Selection("t", (Column("a", PgType("integer")),), "(SELECT 1 AS a) AS t")


@pytest.fixture
def guarded(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A URL without password of a user for whom the server insists on one: `open sesame`."""
    rules = postgres_server.cluster / "pg_hba.conf"
    trusting = rules.read_text(encoding="utf-8")
    admin = PostgresClient(postgres_server.url)
    admin.run("SET password_encryption TO 'scram-sha-256'; CREATE ROLE guarded LOGIN PASSWORD 'open sesame'")
    rules.write_text(f"local all guarded scram-sha-256\n{trusting}", encoding="utf-8")
    admin.run("SELECT pg_reload_conf()")
    # The server reads the rules when it gets round to it.
    url = postgres_server.url.replace("postgres@", "guarded@")
    deadline = time.monotonic() + 10
    while _opens(url) and time.monotonic() < deadline:
        pass
    yield url
    rules.write_text(trusting, encoding="utf-8")
    admin.run("SELECT pg_reload_conf()")
    admin.run("DROP ROLE guarded")


def _opens(url: str) -> bool:
    try:
        return PostgresClient(url).fetch("SELECT 1") == [(1,)]
    except PostgresLoginFailed:
        return False


def failures(client: PostgresClient) -> list[DeClassesError]:
    """What each way of connecting says."""
    found = []
    for connect in (lambda: client.run("SELECT 1"), lambda: list(AdbcReader().read(client, SELECTION))):
        with pytest.raises(DeClassesError) as told:
            connect()
        found.append(told.value)
    return found


def test_the_right_password_opens(guarded: str) -> None:
    """The rule of these tests is a real one: with its password the user gets in."""
    url = guarded.replace("guarded@", "guarded:open%20sesame@")
    assert PostgresClient(url).fetch("SELECT current_user::text") == [("guarded",)]


@pytest.mark.parametrize("password", ["", ":wrong%20sesame"])
def test_a_wrong_password_is_told_without_it(guarded: str, password: str) -> None:
    """No password, or a wrong one: the error is about the login and shows no password."""
    client = PostgresClient(guarded.replace("guarded@", f"guarded{password}@"))
    for error in failures(client):
        assert isinstance(error, PostgresLoginFailed)
        assert "password" in str(error)
        assert "sesame" not in str(error) + repr(client)


@pytest.mark.parametrize("there", ["postgres@/nowhere?", "nobody@/postgres?"])
def test_a_missing_database_or_user_is_a_failed_login(postgres_server: EmbeddedPostgres, there: str) -> None:
    """The server knows no such database or user."""
    client = PostgresClient(postgres_server.url.replace("postgres@/postgres?", there))
    for error in failures(client):
        assert isinstance(error, PostgresLoginFailed)
        assert "does not exist" in str(error)


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/db", "postgresql:///db?host=/nowhere/at/all"])
def test_nobody_there_is_unreachable(url: str) -> None:
    """A closed port and a socket that is not there are told in one line with the reason."""
    for error in failures(PostgresClient(url)):
        assert isinstance(error, PostgresUnreachable)
        assert len(error.fact.splitlines()) == 1
        assert "refused" in error.fact or "No such file" in error.fact


def test_a_server_that_never_answers_is_given_up() -> None:
    """A port that accepts and says nothing is unreachable after connect_timeout."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = PostgresClient(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/db", connect_timeout_seconds=1)
        began = time.monotonic()
        with pytest.raises(PostgresUnreachable):
            client.run("SELECT 1")
        assert time.monotonic() - began < 5


def test_timeouts_are_the_clients(postgres_url: str) -> None:
    """statement_timeout ends what takes too long, in every kind of connection."""
    client = PostgresClient(postgres_url, statement_timeout_seconds=0.05)
    with pytest.raises(PostgresError, match="statement_timeout") as told:
        client.run("SELECT pg_sleep(10)")
    assert told.value.sqlstate == "57014"
    source = PostgresSource(client, queries={"q": "SELECT n, pg_sleep(0.01)::text FROM generate_series(1, 1000) n"})
    with source.plan(source.streams()[0], None) as plan, pytest.raises(PostgresError, match="timeout"):
        list(plan.splits[0].read())


def test_a_session_is_the_same_whatever_the_database_says(postgres_url: str) -> None:
    """Zone, styles and name are the client's own."""
    name = postgres_url.split("/")[3].split("?", maxsplit=1)[0]
    PostgresClient(postgres_url).run(
        f"ALTER DATABASE \"{name}\" SET TimeZone TO 'Asia/Tokyo'; ALTER DATABASE \"{name}\" SET DateStyle TO 'German';"
        f'ALTER DATABASE "{name}" SET bytea_output TO \'escape\'; ALTER DATABASE "{name}" SET extra_float_digits TO -15'
    )
    client = PostgresClient(postgres_url, application_name="a test")
    asked = "SELECT timestamptz '2026-01-02 03:04:05Z'::text, '\\x00'::bytea::text, (0.1::float8 + 0.2)::text"
    assert client.fetch(asked) == [("2026-01-02 03:04:05+00", "\\x00", "0.30000000000000004")]
    assert client.fetch("SELECT current_setting('application_name')") == [("a test",)]


def test_a_secret_from_the_environment_is_read_when_it_is_used(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL may stand in an environment variable; only connecting looks there."""
    client = PostgresClient(Secret.from_env("DE_CLASSES_TEST_URL"))
    with pytest.raises(ConfigurationError, match="DE_CLASSES_TEST_URL"):
        client.run("SELECT 1")
    monkeypatch.setenv("DE_CLASSES_TEST_URL", postgres_url)
    assert client.fetch("SELECT 1") == [(1,)]
    monkeypatch.setenv("DE_CLASSES_TEST_URL", "http://user:sesame@host")
    with pytest.raises(ConfigurationError) as told:
        client.run("SELECT 1")
    assert "sesame" not in str(told.value)


def test_a_user_without_rights_is_told(postgres_server: EmbeddedPostgres, postgres_url: str) -> None:
    """Who may not create the state's schema hears what is missing."""
    PostgresClient(postgres_server.url).run("DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN")
    destination = PostgresDestination(postgres_url.replace("postgres@", "poor@"))
    with (
        pytest.raises(PostgresError, match="permission denied") as told,
        destination.begin("test", Stream("t"), Mode.APPEND),
    ):
        pass
    assert "Grant" in told.value.remedy


def test_a_load_says_what_it_is_at(postgres_url: str) -> None:
    """Sessions are called by pipeline and stream, in as many characters as servers keep."""
    destination = PostgresDestination(postgres_url)
    with destination.begin("nightly", Stream("ö" * 60), Mode.APPEND) as load, load.client.connect() as connection:
        told = connection.execute("SELECT current_setting('application_name')").fetchone()
    assert told == ("de-classes: nightly, " + "?" * 42,)


def test_idle_sessions_may_be_ended(postgres_url: str) -> None:
    """The limit is set for every session but the one that keeps a snapshot."""
    client = PostgresClient(postgres_url, idle_in_transaction_timeout_seconds=7)
    assert client.fetch("SHOW idle_in_transaction_session_timeout") == [("7s",)]
