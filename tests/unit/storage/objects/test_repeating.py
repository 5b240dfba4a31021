from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa

from de_classes.storage.objects._repeating import repeating


def test_columns_whose_values_repeat_are_found() -> None:
    """Few values make a dictionary worth it, also such as extensions hold; many do not, and lists are not looked at."""
    rows, ids = range(1000), pa.array([bytes(15) + bytes([n % 5]) for n in range(1000)], pa.binary(16))
    columns: dict[str, Any] = {
        "colour": [["red", "green", None][n % 3] for n in rows],
        "name": [str(uuid.uuid4()) for _ in rows],
        "price": list(rows),
        "state": pa.array(["on", "off"] * 500).dictionary_encode(),
        "owner": pa.ExtensionArray.from_storage(pa.uuid(), ids),
        "tags": [["a"]] * 1000,
    }
    assert repeating(pa.table(columns)) == ["colour", "state", "owner"]
    assert repeating(pa.table({"empty": pa.array([], pa.int64())})) == ["empty"]
