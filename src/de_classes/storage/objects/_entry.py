"""Commits as JSON, and back."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime  # noqa: TC003 -- msgspec looks annotations up
from typing import Any

import msgspec
import pyarrow as pa

from de_classes.contracts import Mode  # noqa: TC001 -- msgspec looks annotations up
from de_classes.errors import DatasetError
from de_classes.storage.objects._commit import Commit, DataFile, Progress
from de_classes.storage.objects._state import Held, State

__all__ = ["decode", "decode_checkpoint", "decode_schema", "encode", "encode_checkpoint", "encode_schema"]

_FORMAT = 3
"""Of entries that use what came with it (items), so that earlier versions refuse them; others are of format 1 or 2."""


def encode_schema(schema: pa.Schema | None) -> str | None:
    """A schema with all its metadata as text: base64 of Arrow's IPC form."""
    return None if schema is None else base64.b64encode(schema.serialize()).decode()


def decode_schema(text: str | None) -> pa.Schema | None:
    """The schema of `encode_schema`. Raises ValueError if it is not one."""
    if text is None:
        return None
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (pa.ArrowException, OSError, EOFError, binascii.Error) as error:
        raise ValueError("`schema` is no Arrow schema") from error


class _Progress(msgspec.Struct, frozen=True):
    position: dict[str, Any] | None
    epoch: int
    commit: int


class _File(msgspec.Struct, frozen=True, omit_defaults=True):
    key: str
    rows: int
    bytes: int
    memory: int
    checksum: str
    values: str | None = None
    columns: str | None = None
    format: dict[str, Any] | None = None
    partition: dict[str, str | None] | None = None
    rewrites: tuple[str, ...] = ()
    origins: tuple[tuple[int, int], ...] = ()


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    format: int
    number: int
    id: str
    pipeline: str
    mode: Mode
    at: datetime
    base: int
    rows: int
    # Fields named `schema` would hide a name of msgspec's.
    schema_: str | None = msgspec.field(name="schema")
    primary_key: tuple[str, ...]
    files: tuple[_File, ...]
    pipelines: dict[str, _Progress]
    rejected: tuple[_File, ...] = ()
    dropped: tuple[str, ...] = ()
    lost: tuple[tuple[int, int], ...] = ()
    items: tuple[tuple[str, str], ...] = ()


class _Held(msgspec.Struct, frozen=True, array_like=True):
    commit: int
    file: _File


class _Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    format: int
    number: int
    id: str
    files: tuple[_Held, ...]
    rejected: tuple[_Held, ...]
    items: dict[str, dict[str, str]] = {}


def encode(commit: Commit) -> bytes:
    """The commit as JSON."""
    return msgspec.json.encode(
        _Entry(
            format=3 if commit.items else 2 if _is_of_2(commit) else 1,
            number=commit.number,
            id=commit.id,
            pipeline=commit.pipeline,
            mode=commit.mode,
            at=commit.at.astimezone(UTC),
            base=commit.base,
            rows=commit.rows,
            schema_=encode_schema(commit.schema),
            primary_key=commit.primary_key,
            files=tuple(map(_entry_of, commit.files)),
            pipelines={
                name: _Progress(dict(p.position) if p.position is not None else None, p.epoch, p.commit)
                for name, p in commit.pipelines.items()
            },
            rejected=tuple(map(_entry_of, commit.rejected)),
            dropped=commit.dropped,
            lost=commit.lost,
            items=commit.items,
        )
    )


def decode(data: bytes, where: str) -> Commit:
    """The commit that `data` tells of; `where` names the object in errors.

    Raises:
        DatasetError: it is not what `encode` gives, or was written by a later version of this package.

    """
    try:
        entry = msgspec.json.decode(data, type=_Entry)
        schema = decode_schema(entry.schema_)
        _check(entry)
    except ValueError as error:
        raise DatasetError(where, f"it is no commit: {error}", "Restore the object as it was written.") from error
    return Commit(
        number=entry.number,
        id=entry.id,
        pipeline=entry.pipeline,
        mode=entry.mode,
        at=entry.at,
        base=entry.base,
        rows=entry.rows,
        schema=schema,
        primary_key=entry.primary_key,
        files=tuple(map(_file_of, entry.files)),
        pipelines={name: Progress(p.position, p.epoch, p.commit) for name, p in entry.pipelines.items()},
        rejected=tuple(map(_file_of, entry.rejected)),
        dropped=entry.dropped,
        lost=entry.lost,
        items=entry.items,
    )


def encode_checkpoint(commit: Commit, state: State) -> bytes:
    """The state as of a commit as JSON."""
    files, rejected = (
        tuple(_Held(held.commit, _entry_of(held.file)) for held in some) for some in (state.files, state.rejected)
    )
    version = _FORMAT if state.items else 2
    return msgspec.json.encode(_Checkpoint(version, commit.number, commit.id, files, rejected, state.items))


def decode_checkpoint(data: bytes) -> tuple[str, State]:
    """The id of the commit, and the state as of it. Raises ValueError if it is none, or of a later version."""
    told = msgspec.json.decode(data, type=_Checkpoint)
    if told.format > _FORMAT:
        raise ValueError(f"its format {told.format} is of a later version")
    files, rejected = (
        [Held(held.commit, _file_of(held.file)) for held in some] for some in (told.files, told.rejected)
    )
    return told.id, State(files, rejected, told.items)


def _is_of_2(commit: Commit) -> bool:
    return bool(
        commit.dropped or commit.lost or any(file.rewrites or file.partition or file.format for file in commit.files)
    )


def _entry_of(file: DataFile) -> _File:
    return msgspec.convert(file, _File, from_attributes=True)


def _file_of(entry: _File) -> DataFile:
    return msgspec.convert(entry, DataFile, from_attributes=True)


def _check(entry: _Entry) -> None:
    if entry.format > _FORMAT:
        raise ValueError(f"its format {entry.format} is of a later version; update de-classes")
    if not 1 <= entry.base <= entry.number or not entry.id or entry.at.tzinfo is None:
        raise ValueError("its number, base, id or time cannot be")
    if any(
        min(f.rows, f.bytes, f.memory) < 0 or f.key.startswith("/") or ".." in f.key.split("/")
        for f in (*entry.files, *entry.rejected)
    ):
        raise ValueError("a file in it cannot be")
    if any(f.rewrites and (not f.origins or sum(rows for _, rows in f.origins) != f.rows) for f in entry.files):
        raise ValueError("a file in it does not say where its rows came from")
    if any(p.epoch < 1 or not 1 <= p.commit <= entry.number for p in entry.pipelines.values()):
        raise ValueError("a pipeline in it cannot be")
