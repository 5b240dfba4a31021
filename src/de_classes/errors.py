"""Every error that de-classes raises.

::

    DeClassesError                    a failure; the command line ends with 1
    |-- ConfigurationError            the user's mistake, seen before anything moved; the command line ends with 2
    |   |-- InvalidKey                an object's key that would leave its store
    |   `-- MissingExtra              an optional package that this needs is not installed
    |-- ApiError                      an HTTP API did not give what was asked
    |   |-- ApiUnreachable            no connection, no answer in time, or the connection broke
    |   |-- ApiStatusError            an answer that says no, such as 404; `status` holds the number
    |   |   `-- AuthenticationFailed  ... and says that it is about the credentials
    |   `-- InvalidAnswer             an answer that is not what it should be: no JSON, no list where one was expected
    |-- StoreError                    an object store did not do what was asked
    |   |-- StoreUnreachable          no connection or no answer in time
    |   |-- BucketNotFound            the bucket or the root folder is not there
    |   |-- ObjectNotFound            no object of that key
    |   |-- ObjectExists              a create-only put found an object of that key
    |   |-- PreconditionFailed        the object is not the version that was expected
    |   |-- AccessDenied              the credentials do not allow this, or are wrong
    |   |-- OutOfSpace                the disk, or the quota, is full
    |   `-- UnsafeStore               the store ignores conditions, so that commits to it would not be safe
    |-- InvalidFile                   a file of text is not of the format that it was said to have
    |-- TooManyMisfits                more rows of a file do not fit than may be set aside
    |-- DatasetError                  a dataset's log or files are not what they should be
    |-- PostgresError                 PostgreSQL did not do what was asked; `sqlstate` holds its code
    |   |-- PostgresUnreachable       no server there, or the connection broke
    |   |-- PostgresLoginFailed       wrong user, password or database
    |   |-- PostgresOutOfSpace        the server's disk is full
    |   `-- TableNotFound             no such table, view or column
    |-- ValueNotHeld                  a value that the other side cannot hold; names table, column and row
    |-- UnknownType                   a column's type that de-classes does not move yet
    |-- SchemaMismatch                the columns that come are not the columns that are there
    |-- StreamRestarted               what was loaded before is no longer part of the source
    |-- PlanLost                      what the splits of a plan shared is gone, such as a snapshot; planning again helps
    |-- TooManyDeletes                more rows are gone at the source than may be deleted without being asked
    |-- TransformFailed               a transform raised, or returned what is no batch
    |-- Overtaken                     another run of the pipeline committed first
    |-- CountMismatch                 rows read, written and visible are not the same number
    |-- ValuesDiffer                  values that are read back are not those that were handed over
    `-- ProofFailed                   two places that should hold the same values do not

A message names the object, the fact and the remedy. Errors of libraries are translated at one boundary each, with
`raise ... from`, and every error pickles, since it may come from a worker on another machine.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AccessDenied",
    "ApiError",
    "ApiStatusError",
    "ApiUnreachable",
    "AuthenticationFailed",
    "BucketNotFound",
    "ConfigurationError",
    "CountMismatch",
    "DatasetError",
    "DeClassesError",
    "InvalidAnswer",
    "InvalidFile",
    "InvalidKey",
    "MissingExtra",
    "ObjectExists",
    "ObjectNotFound",
    "OutOfSpace",
    "Overtaken",
    "PlanLost",
    "PostgresError",
    "PostgresLoginFailed",
    "PostgresOutOfSpace",
    "PostgresUnreachable",
    "PreconditionFailed",
    "ProofFailed",
    "SchemaMismatch",
    "StoreError",
    "StoreUnreachable",
    "StreamRestarted",
    "TableNotFound",
    "TooManyDeletes",
    "TooManyMisfits",
    "TransformFailed",
    "UnknownType",
    "UnsafeStore",
    "ValueNotHeld",
    "ValuesDiffer",
]


class DeClassesError(Exception):
    """A failure, told as the object it is about, the fact, and what to do.

    `str(error)` reads `object: fact` followed by the remedy on its own line. Anything else worth knowing to a program
    is given by keyword and becomes an attribute.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, subject: str, fact: str, remedy: str = "", **context: Any) -> None:
        super().__init__(subject, fact, remedy)
        self.subject = subject
        self.fact = fact
        self.remedy = remedy
        self.context = context

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is no ordinary attribute; __dict__ is empty while an error is being unpickled.
        context = self.__dict__.get("context", {})
        if name in context:
            return context[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __str__(self) -> str:
        told = f"{self.subject}: {self.fact}"
        return f"{told}\n  {self.remedy}" if self.remedy else told

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.subject, self.fact, self.remedy), {"context": self.context}


class ConfigurationError(DeClassesError):
    """The user asked for something that cannot be; nothing has been moved."""

    exit_code = 2


class InvalidKey(ConfigurationError):
    """An object's key that would leave its store, or that no store can hold."""


class MissingExtra(ConfigurationError):
    """An optional package that this needs is not installed."""


class ApiError(DeClassesError):
    """An HTTP API did not give what was asked."""


class ApiUnreachable(ApiError):
    """No connection, no answer in time, or the connection broke; `for_good` where another attempt would end alike."""


class ApiStatusError(ApiError):
    """An answer that says no; `status` is its number."""


class AuthenticationFailed(ApiStatusError):
    """The API does not accept the credentials."""


class InvalidAnswer(ApiError):
    """An answer that is not what it should be."""


class StoreError(DeClassesError):
    """An object store did not do what was asked."""


class StoreUnreachable(StoreError):
    """No connection to the store, or no answer in time."""


class BucketNotFound(StoreError):
    """The bucket, or the root folder, is not there."""


class ObjectNotFound(StoreError):
    """No object of that key."""


class ObjectExists(StoreError):
    """A create-only put found an object of that key."""


class PreconditionFailed(StoreError):
    """The object is not the version that was expected."""


class AccessDenied(StoreError):
    """The credentials are wrong, or do not allow this."""


class OutOfSpace(StoreError):
    """The disk, or the quota, is full."""


class UnsafeStore(StoreError):
    """The store ignores conditions, so that two commits could both believe to have won."""


class InvalidFile(DeClassesError):
    """A file is not of the format that it was said to have, or not readable at all."""


class TooManyMisfits(DeClassesError):
    """More rows of a file do not fit than may be set aside; `rejected` and `rows` say how many of how many."""


class DatasetError(DeClassesError):
    """A dataset's log or files are not what they should be."""


class PostgresError(DeClassesError):
    """PostgreSQL did not do what was asked; `sqlstate` is its code, or None."""


class PostgresUnreachable(PostgresError):
    """No server there, or the connection broke."""


class PostgresLoginFailed(PostgresError):
    """The server does not accept user, password or database."""


class PostgresOutOfSpace(PostgresError):
    """The disk of the server is full."""


class TableNotFound(PostgresError):
    """No such table, view or column."""


class ValueNotHeld(DeClassesError):
    """A value that the other side cannot hold; `table`, `column` and `row` say where.

    Rows are counted from 0 in their batch or split.
    """


class UnknownType(DeClassesError):
    """A column's type that de-classes does not move yet."""


class SchemaMismatch(DeClassesError):
    """The columns that come are not the columns that are there."""


class StreamRestarted(DeClassesError):
    """The source begins anew: what was loaded before is no longer part of it."""


class PlanLost(DeClassesError):
    """What the splits of a plan shared, such as a snapshot, is gone; another plan can be made."""


class TooManyDeletes(DeClassesError):
    """More rows are gone at the source than may be deleted without being asked; `deleted` and `rows` say how many."""


class TransformFailed(DeClassesError):
    """A transform raised, or returned what is no batch."""


class Overtaken(DeClassesError):
    """Another run of the same pipeline committed to the stream after this one had begun."""


class CountMismatch(DeClassesError):
    """Rows read, written and visible are not the same number."""


class ValuesDiffer(DeClassesError):
    """Values that are read back are not those that were handed over; `split_id` says of which split."""


class ProofFailed(DeClassesError):
    """Two places that should hold the same values do not."""
