"""The boundary at which errors of psycopg and of the ADBC driver become ours."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import adbc_driver_manager
import psycopg

from de_classes.errors import (
    ConfigurationError,
    PostgresError,
    PostgresLoginFailed,
    PostgresOutOfSpace,
    PostgresUnreachable,
    TableNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.errors import DeClassesError

__all__ = ["postgres_errors", "translated"]

_NOT_FOUND = {"42P01", "42703", "3F000"}
_LOGIN = {"28000", "28P01", "3D000"}
_BROKEN = {"57P01", "57P02", "57P03", "57P05"}
_REMEDIES = {
    "42501": "Grant the user what it needs, or use another one.",
    "23001": "Rows of another table refer to rows that are to go: load them in their order.",
    "23503": "Rows of one table refer to rows of another that are not there, or are to go: load them in their order.",
    "23505": "Merge instead of appending, or remove the rows that are there twice.",
    "25006": "Connect to the primary, or as a role whose default_transaction_read_only is off.",
    "25P03": "What feeds the load is slower than the server allows: raise idle_in_transaction_timeout_seconds.",
    "40001": "Run it again.",
    "40P01": "Run it again.",
    "53300": "Use fewer workers, or raise max_connections.",
    "53200": "Raise max_locks_per_transaction or the server's memory.",
    "55P03": "Another session holds the lock: wait for it, or raise lock_timeout.",
    "57014": "Raise statement_timeout, or ask for less.",
}

# libpq gives no code for what happens before a session exists, only the server's text.
_LOGIN_TEXT = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist|"
    r"database .* does not exist|not permitted to log in|permission denied for database|password is empty",
    re.IGNORECASE,
)
_BROKEN_TEXT = re.compile(
    r"server closed the connection|could not (?:connect|receive|send)|connection (?:refused|reset|to server)|"
    r"no connection to the server|the connection is (?:lost|closed)|terminating connection|"
    r"could not translate host|SSL ",
    re.IGNORECASE,
)
_SAID_BY_SERVER = re.compile(r"(?:FATAL|ERROR|PANIC):\s+(.+)")


@contextmanager
def postgres_errors(subject: str) -> Iterator[None]:
    """Let errors of the libraries out as ours, about this subject."""
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        raise translated(error, subject) from error


def translated(error: Exception, subject: str) -> DeClassesError:
    """Our error for one of the libraries': its code decides, and where there is none, its text."""
    code = getattr(error, "sqlstate", None)
    fact = _fact(error)
    if code is None or code == "00000" or "\0" in code:
        return _without_code(error, subject, fact)
    if code in _NOT_FOUND:
        return TableNotFound(subject, fact, "Check the name, its capitals and its schema.", sqlstate=code)
    if code in _BROKEN or code.startswith("08"):
        return PostgresUnreachable(subject, fact, "Check the server, then run it again.", sqlstate=code)
    if code in _LOGIN:
        return PostgresLoginFailed(subject, fact, "Check user, password and database.", sqlstate=code)
    if code == "53100":
        return PostgresOutOfSpace(subject, fact, "Make room on the server's disk, then run it again.", sqlstate=code)
    return PostgresError(subject, f"{fact} (SQLSTATE {code})", _REMEDIES.get(code, ""), sqlstate=code)


def _without_code(error: Exception, subject: str, fact: str) -> DeClassesError:
    text = str(error)
    if _LOGIN_TEXT.search(text):
        return PostgresLoginFailed(subject, fact, "Check user, password and database.", sqlstate=None)
    if isinstance(error, psycopg.ProgrammingError) and not isinstance(error, psycopg.OperationalError):
        return ConfigurationError(subject, fact)
    if isinstance(error, psycopg.OperationalError) or _BROKEN_TEXT.search(text):
        return PostgresUnreachable(subject, fact, "Check host and port, and that the server runs.", sqlstate=None)
    return PostgresError(subject, fact, sqlstate=None)


def _fact(error: Exception) -> str:
    """One line of what the server or the library says."""
    diagnostics = getattr(error, "diag", None)
    primary = getattr(diagnostics, "message_primary", None)
    if primary:
        return str(primary)
    text = str(error)
    if said := _SAID_BY_SERVER.search(text):
        return said[1].strip()
    lines = [re.sub(r"^(?:[A-Z_]+: )?\[libpq\] ", "", line.strip()) for line in text.splitlines() if line.strip()]
    # libpq tells of every address that it tried; the last one that failed is as good as any.
    return next((line for line in reversed(lines) if "failed" in line), lines[0] if lines else type(error).__name__)
