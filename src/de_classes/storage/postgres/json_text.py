"""Structs and lists of them as JSON text, a whole column at a time, so that jsonb holds what they hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .arrow_values import pc, row_of_value
from .copy_text import joined, plain, text_of

if TYPE_CHECKING:
    from .arrow_values import Array
    from .copy_text import Refuse

__all__ = ["json_text"]

_CONTROLS = {chr(code): json.dumps(chr(code))[1:-1] for code in range(1, 0x20)}
_IN_NEED = np.zeros(256, np.bool_)
"""Bytes that JSON escapes; no byte of a longer character in UTF-8 is one of them."""
_IN_NEED[[*range(0x20), *b'"\\']] = True


def json_text(array: Array, refuse: Refuse) -> Array:
    """Give every value as JSON; NULL becomes `null`.

    Raises:
        ValueNotHeld: NaN and infinities, which are no numbers in JSON, and NUL, which jsonb has no character for.

    """
    array = plain(array)
    if isinstance(array, pa.StructArray):
        spelled = _objects(array, refuse)
    elif isinstance(array, pa.ListArray):
        values = json_text(array.flatten(), lambda at, what: refuse(row_of_value(array, at), what))
        spelled = joined(array, values, "[", "]")
    else:
        spelled = _scalars(array, refuse)
    return pc.fill_null(spelled, "null")


def _objects(array: pa.StructArray, refuse: Refuse) -> Array:
    if not array.type.num_fields:
        return pc.if_else(array.is_null(), pa.scalar(None, pa.string()), "{}")
    pieces: list[Array | str] = []
    for n, field in enumerate(array.type):
        pieces += [("," if n else "{") + json.dumps(field.name, ensure_ascii=False) + ":"]
        pieces += [json_text(pc.struct_field(array, [n]), refuse)]
    whole = pc.binary_join_element_wise(*pieces, "}", "")
    return pc.if_else(array.is_null(), pa.scalar(None, pa.string()), whole)


def _scalars(array: Array, refuse: Refuse) -> Array:
    type_ = array.type
    if pa.types.is_floating(type_):
        odd = pc.index(pc.is_finite(array), False).as_py()
        if odd >= 0:
            raise refuse(odd, "NaN or an infinity in a nested value")
    text = text_of(array, refuse)
    if pa.types.is_string(type_) or pa.types.is_binary(type_):
        text = _escaped(text)  # bytes are spelled with a backslash
    elif pa.types.is_timestamp(type_) and type_.tz:
        text = pc.replace_substring_regex(text, "( BC)?$", r"Z\1")
    elif not pa.types.is_temporal(type_):
        return text  # a number or a truth value
    return pc.binary_join_element_wise('"', text, '"', "")


def _escaped(text: Array) -> Array:
    data = text.buffers()[2]
    # The buffer may hold more than the column shows, and then costs a look that was not needed.
    if data is None or not data.size or not _IN_NEED[np.frombuffer(data, np.uint8)].any():
        return text
    text = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')
    if pc.any(pc.match_substring_regex(text, "[\x01-\x1f]")).as_py():
        for control, escape in _CONTROLS.items():
            text = pc.replace_substring(text, control, escape)
    return text
