"""How to reach a PostgreSQL server, and the few things that every part does with it."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from de_classes.configs.secrets import Secret
from de_classes.errors import ConfigurationError

from ._errors import postgres_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PostgresClient"]

_LAST_PORT = 65_535
_NAME_BYTES = 63


class PostgresClient:
    """A description of a database and of how to talk to it; picklable, holding no connection.

    `url` is a libpq URI (`postgresql://user:password@host:5432/database?sslmode=require`) or a `key=value` string; what
    it leaves out comes from libpq's own environment variables and ~/.pgpass. Timeouts of None are left to the server,
    since a statement of a load may well take hours; who shares a server with others sets them (see docs/postgres.md).
    Only a lock that a commit needs to alter a table is then waited for half a minute, as everybody queues up behind.
    Connecting is tried once; libpq counts its time in whole seconds and gives each address two at least. With
    `read_only` the server refuses whatever would write.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        url: str | Secret,
        *,
        application_name: str = "de-classes",
        connect_timeout_seconds: float = 10.0,
        statement_timeout_seconds: float | None = None,
        lock_timeout_seconds: float | None = None,
        idle_in_transaction_timeout_seconds: float | None = None,
        read_only: bool = False,
    ) -> None:
        wrong = [
            f"{name}={value!r} (must be above 0)"
            for name, value in (
                ("connect_timeout_seconds", connect_timeout_seconds),
                ("statement_timeout_seconds", statement_timeout_seconds),
                ("lock_timeout_seconds", lock_timeout_seconds),
                ("idle_in_transaction_timeout_seconds", idle_in_transaction_timeout_seconds),
            )
            if value is not None and value <= 0
        ]
        if isinstance(url, str) and not _is_conninfo(url):
            wrong.append("the URL is not one of libpq's, such as postgresql://user:password@host:5432/database")
        elif isinstance(url, str):
            wrong += [f"the port {port!r} is none (1 to 65535)" for port in _wrong_ports(url)]
        if wrong:
            raise ConfigurationError("PostgresClient", "; ".join(wrong))
        self._url = Secret(url) if isinstance(url, str) else url
        self._shown = _masked(url) if isinstance(url, str) else repr(url)
        self.application_name = application_name
        self.connect_timeout_seconds = connect_timeout_seconds
        self.statement_timeout_seconds = statement_timeout_seconds
        self.lock_timeout_seconds = lock_timeout_seconds
        self.idle_in_transaction_timeout_seconds = idle_in_transaction_timeout_seconds
        self.read_only = read_only

    def __repr__(self) -> str:
        return f"PostgresClient({self._shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PostgresClient) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self._url, self.application_name))

    @property
    def address(self) -> str:
        """How a person would name the database; without the password."""
        return self._shown

    @property
    def conninfo(self) -> str:
        """What libpq needs in order to connect, password included: not to be shown."""
        url = self._url.reveal()
        if not _is_conninfo(url):
            raise ConfigurationError(
                repr(self), "the URL is not one of libpq's", "postgresql://user:password@host/database"
            )
        timeout = max(1, round(self.connect_timeout_seconds))
        return make_conninfo(url, application_name=self.application_name, connect_timeout=timeout)

    @property
    def session(self) -> Sequence[str]:
        """What every session begins with, so that values mean the same whatever the server's settings.

        Loads lock what they decide about, and must see what was committed while they waited for that.
        """
        settings = ["SET TIME ZONE 'UTC'", "SET DateStyle TO 'ISO, YMD'", "SET IntervalStyle TO 'postgres'"]
        settings += ["SET client_encoding TO 'UTF8'", "SET extra_float_digits TO 1", "SET bytea_output TO 'hex'"]
        settings += ["SET lc_monetary TO 'C'", "SET xmloption TO content", "SET array_nulls TO on"]
        settings += ["SET quote_all_identifiers TO off", "SET default_transaction_isolation TO 'read committed'"]
        for name, seconds in (
            ("statement_timeout", self.statement_timeout_seconds),
            ("lock_timeout", self.lock_timeout_seconds),
            ("idle_in_transaction_session_timeout", self.idle_in_transaction_timeout_seconds),
        ):
            if seconds is not None:
                settings.append(f"SET {name} TO {max(1, round(seconds * 1000))}")
        if self.read_only:
            settings.append("SET default_transaction_read_only TO on")
        return settings

    def reading(self) -> PostgresClient:
        """The same, for those who only read."""
        client = copy(self)
        client.read_only = True
        return client

    def working_on(self, what: str) -> PostgresClient:
        """The same, for sessions whose `application_name` says what they are at, in 63 characters of ASCII."""
        client = copy(self)
        name = f"{self.application_name}: {what}".encode("ascii", "replace")  # servers spell other signs as \\x..
        client.application_name = name[:_NAME_BYTES].decode()
        return client

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """Open a connection that begins transactions by itself; leaving it commits, or rolls back after an error.

        Raises:
            PostgresUnreachable: nobody answers there within `connect_timeout_seconds`.
            PostgresLoginFailed: the server does not accept user, password or database.

        """
        with postgres_errors(self._shown), self.open() as connection:
            yield connection

    def open(self) -> psycopg.Connection[Any]:
        """Open a connection for the caller to close; errors of psycopg come as they are."""
        connection = psycopg.connect(self.conninfo, autocommit=True)
        try:
            connection.execute("; ".join(self.session))
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        return connection

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement in a transaction of its own; gives the number of rows it touched, -1 where there is none."""
        with self.connect() as connection:
            return connection.execute(sql.encode(), parameters or None).rowcount

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and give all its rows, as psycopg makes them: for small answers."""
        with self.connect() as connection:
            return connection.execute(sql.encode(), parameters or None).fetchall()


def _is_conninfo(url: str) -> bool:
    try:
        conninfo_to_dict(url)
    except psycopg.Error:
        return False
    return True


def _wrong_ports(url: str) -> list[str]:
    """Of the ports, one for each host, those that cannot be; an empty one is the default."""
    ports = str(conninfo_to_dict(url).get("port") or "").split(",")
    return [port for port in ports if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT)]


def _masked(url: str) -> str:
    """The parts of a URL that may be seen, as a URL that leads there."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    user, database = (quote(parts.get(name, ""), safe="") for name in ("user", "dbname"))
    secret = ":***" if parts.get("password") else ""
    at = "@" if user or secret else ""
    host, port = parts.get("host", ""), parts.get("port", "")
    if host.startswith(("/", "@")) or "," in host:
        # Sockets' folders, and several hosts, have their place behind the question mark.
        query = "&".join(
            f"{name}={quote(value, safe='/,')}" for name, value in (("host", host), ("port", port)) if value
        )
        return f"postgresql://{user}{secret}{at}/{database}?{query}"
    host = f"[{host}]" if ":" in host else host
    return f"postgresql://{user}{secret}{at}{host}{port and ':'}{port}/{database}"


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.client")
