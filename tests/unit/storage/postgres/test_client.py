from __future__ import annotations

import pickle

import adbc_driver_manager
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from de_classes.configs.secrets import Secret
from de_classes.errors import (
    ConfigurationError,
    DeClassesError,
    PostgresError,
    PostgresLoginFailed,
    PostgresOutOfSpace,
    PostgresUnreachable,
    TableNotFound,
)
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.storage.postgres._errors import translated

URL = "postgresql://ann:open%20sesame@db.example:5433/shop?sslmode=require"


@pytest.mark.parametrize("url", [URL, "host=db.example port=5433 user=ann password='open sesame' dbname=shop"])
def test_a_client_is_a_picklable_description_without_a_password_to_see(url: str) -> None:
    """The password is in what libpq gets, and nowhere that is shown."""
    client = pickle.loads(pickle.dumps(PostgresClient(url)))
    assert repr(client) == "PostgresClient('postgresql://ann:***@db.example:5433/shop')"
    assert "open sesame" in client.conninfo
    assert client == PostgresClient(url)
    assert hash(client) == hash(PostgresClient(url))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://postgres@/shop?host=%2Ftmp%2Fa%20b", "postgresql://postgres@/shop?host=/tmp/a%20b"),
        ("host=/run/pg port=5433 password=x", "postgresql://:***@/?host=/run/pg&port=5433"),
        ("postgresql://ann@one:1,two:2/shop", "postgresql://ann@/shop?host=one,two&port=1,2"),
        ("host=::1 port=5433 user='a@b' dbname='s/t'", "postgresql://a%40b@[::1]:5433/s%2Ft"),
    ],
)
def test_what_is_shown_is_a_url_that_leads_there(url: str, shown: str) -> None:
    """Sockets, several hosts and odd names stand where libpq looks for them."""
    client = PostgresClient(url)
    assert client.address == shown
    meant, said = (conninfo_to_dict(text) for text in (url, client.address))
    assert {**said, "password": None} == {**meant, "password": None}


@pytest.mark.parametrize("url", ["postgresql://h:abc/shop", "host=h port=0", "postgresql://a:1,b:99999/shop"])
def test_a_port_that_is_none_is_a_mistake(url: str) -> None:
    """It is told as such, before anybody looks for a host."""
    with pytest.raises(ConfigurationError, match=r"the port '(abc|0|99999)' is none"):
        PostgresClient(url)


def test_a_secret_url_is_not_looked_at() -> None:
    """A client of a secret shows the secret's own face, and constructing it reads no environment."""
    client = PostgresClient(Secret.from_env("NOT_SET_ANYWHERE"))
    assert "NOT_SET_ANYWHERE" in repr(client)


def test_all_mistakes_are_told_at_once() -> None:
    """Wrong arguments are told together, and a wrong URL without its password."""
    with pytest.raises(ConfigurationError) as told:
        PostgresClient("mysql://ann:sesame@db", connect_timeout_seconds=0, lock_timeout_seconds=-1)
    message = str(told.value)
    assert "connect_timeout" in message
    assert "lock_timeout" in message
    assert "not one of libpq's" in message
    assert "sesame" not in message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "neither tables nor queries"),
        ({"tables": "orders"}, "is one name"),
        ({"tables": ["a.t", "b.t"]}, "streams of one name"),
        ({"tables": ["t"], "queries": {"t": "SELECT 1"}}, "given twice"),
        ({"queries": {"q": " ; "}}, "is empty"),
        ({"tables": ["t"], "split_bytes": 0}, "split_bytes"),
        ({"tables": ["t"], "strategy": "magic"}, "strategy"),
    ],
)
def test_mistakes_in_a_source_are_told(arguments: dict[str, object], told: str) -> None:
    """A source that cannot be is refused when it is made."""
    with pytest.raises(ConfigurationError, match=told):
        PostgresSource(URL, **arguments)  # type: ignore[arg-type]


def test_tables_may_be_given_names_of_their_own() -> None:
    """Two tables of one name become streams by a mapping."""
    source = PostgresSource(URL, tables={"one": "a.t", "two": "b.t"})
    assert repr(source).endswith("streams=['one', 'two'])")


def test_a_destination_refuses_names_that_cannot_be() -> None:
    """A schema without a name is a mistake."""
    with pytest.raises(ConfigurationError):
        PostgresDestination(URL, schema="")


def test_source_and_destination_pickle() -> None:
    """Both travel to workers."""
    for one in (PostgresSource(URL, tables=["t"]), PostgresDestination(URL)):
        assert repr(pickle.loads(pickle.dumps(one))) == repr(one)


def adbc(message: str, code: str | None = None) -> adbc_driver_manager.Error:
    return adbc_driver_manager.OperationalError(message, status_code=0, sqlstate=code)


@pytest.mark.parametrize(
    ("error", "expected", "fact"),
    [
        (psycopg.errors.UndefinedTable('relation "x" does not exist'), TableNotFound, 'relation "x" does not exist'),
        (psycopg.errors.DiskFull("could not extend file"), PostgresOutOfSpace, "could not extend file"),
        (psycopg.errors.AdminShutdown("terminating connection"), PostgresUnreachable, "terminating connection"),
        (psycopg.errors.InvalidPassword("no"), PostgresLoginFailed, "no"),
        (psycopg.errors.DeadlockDetected("deadlock detected"), PostgresError, "deadlock detected (SQLSTATE 40P01)"),
        (
            psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "ann"\n'),
            PostgresLoginFailed,
            'password authentication failed for user "ann"',
        ),
        (
            adbc('NOT_FOUND: Failed: ERROR:  relation "x" does not exist\nLINE 1: ...\n\nQuery was: SELECT', "42P01"),
            TableNotFound,
            'relation "x" does not exist',
        ),
        (
            adbc('IO: [libpq] Failed to connect: connection to server on socket "/x" failed: No such file\n\tIs it?'),
            PostgresUnreachable,
            'Failed to connect: connection to server on socket "/x" failed: No such file',
        ),
        (adbc("INTERNAL: [libpq] something odd\nand more"), PostgresError, "something odd"),
    ],
)
def test_errors_of_the_libraries_become_ours(error: Exception, expected: type[DeClassesError], fact: str) -> None:
    """The code decides, or else the text; one line of it is told, and the error pickles."""
    ours = translated(error, "the subject")
    assert type(ours) is expected
    assert (ours.subject, ours.fact) == ("the subject", fact)
    assert str(pickle.loads(pickle.dumps(ours))) == str(ours)
