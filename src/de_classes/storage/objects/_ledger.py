"""The ledger of a load: a receipt for each split that is completely written, as an object beside the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from de_classes.contracts import Item, Receipt
from de_classes.errors import DatasetError
from de_classes.storage.objects._keys import join
from de_classes.storage.objects.log import DataFile, decode_schema, encode_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects._folders import Folders
    from de_classes.storage.objects.dataset import Dataset

__all__ = ["decode_receipt", "details_of", "encode_receipt", "files_of", "sizes_of_files", "staged_in"]


class _Item(msgspec.Struct, frozen=True, array_like=True):
    name: str
    version: str
    column: str | None = None
    place: str | None = None


class _Ledger(msgspec.Struct, frozen=True):
    split_id: str
    rows: int
    bytes: int
    schema_: str | None = msgspec.field(name="schema")
    position: dict[str, Any] | None
    files: tuple[DataFile, ...]
    rejected: tuple[DataFile, ...] = ()
    items: tuple[_Item, ...] = ()
    checksum: str | None = None


def encode_receipt(receipt: Receipt) -> bytes:
    """The receipt as JSON."""
    return msgspec.json.encode(
        {
            "split_id": receipt.split_id,
            "rows": receipt.rows,
            "bytes": receipt.bytes,
            "schema": encode_schema(receipt.schema),
            "position": receipt.position,
            "items": [(item.name, item.version, item.column, item.place) for item in receipt.items],
            "checksum": receipt.checksum,
            **receipt.details,
        }
    )


def decode_receipt(data: bytes, where: str) -> Receipt:
    """The receipt that `data` tells of; `where` names the object in errors.

    Raises:
        DatasetError: it is none.

    """
    try:
        told = msgspec.json.decode(data, type=_Ledger)
        schema = decode_schema(told.schema_)
    except ValueError as error:
        raise DatasetError(
            where, f"it is no receipt: {error}", "Delete the object; what it told of is written again."
        ) from error
    details = details_of(told.files, told.rejected)
    count = sum(file.rows for file in told.rejected)
    items = tuple(Item(item.name, item.version, item.column, item.place) for item in told.items)
    return Receipt(
        told.split_id,
        told.rows,
        told.bytes,
        schema,
        told.position,
        details,
        count,
        items=items,
        checksum=told.checksum,
    )


def staged_in(dataset: Dataset, folders: Folders, partition_by: Sequence[str] = ()) -> Mapping[str, Receipt]:
    """What loads of this epoch have written completely, partitioned alike, and is there as it was written."""
    entries = [
        info.key
        for info in dataset.store.list(join(dataset.prefix, folders.ledger))
        if not info.key.endswith(folders.marker)
    ]
    if not entries:
        return {}
    there = sizes_of_files(dataset, folders.data, folders.quarantine)
    receipts = [decode_receipt(dataset.store.get(key), f"{dataset.store.url}/{key}") for key in entries]
    return {
        receipt.split_id: receipt
        for receipt in receipts
        if all(there.get(file.key) == file.bytes for files in files_of(receipt, dataset.url) for file in files)
        and all(list(file.partition or ()) == list(partition_by) for file in files_of(receipt, dataset.url)[0])
    }


def sizes_of_files(dataset: Dataset, *folders: str) -> Mapping[str, int]:
    """The files that are in the folders, and how long they are."""
    return {
        dataset.key_of(info.key): info.size
        for folder in folders
        for info in dataset.store.list(join(dataset.prefix, folder))
    }


def details_of(files: Sequence[DataFile], rejected: Sequence[DataFile]) -> Mapping[str, JsonValue]:
    """The files with rows, and those with rejected records, as a receipt tells of them."""
    details: dict[str, JsonValue] = {"files": _told(files)}
    return {**details, "rejected": _told(rejected)} if rejected else details


def _told(files: Sequence[DataFile]) -> list[JsonValue]:
    # By way of JSON, in which the receipt travels: it has lists and no tuples.
    told: list[JsonValue] = msgspec.json.decode(msgspec.json.encode(files))
    return told


def files_of(receipt: Receipt, subject: str) -> tuple[tuple[DataFile, ...], tuple[DataFile, ...]]:
    """The files with rows, and those with rejected records, that a receipt tells of."""
    told = receipt.details
    try:
        return (
            msgspec.convert(told.get("files"), tuple[DataFile, ...]),
            msgspec.convert(told.get("rejected", ()), tuple[DataFile, ...]),
        )
    except ValueError as error:
        raise DatasetError(
            f"{subject}, split {receipt.split_id}", f"its receipt is not one of ours: {error}", "Run again."
        ) from error
