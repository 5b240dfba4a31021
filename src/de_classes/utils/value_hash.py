"""A 64-bit hash of each value of an Arrow array, the same however Arrow represents the value.

Two values have the same hash when they are the same value, and as good as never otherwise (the chance is 2**-64; the
hash is made against accidents, not against an adversary). What counts as the same value:

- integers and decimals are exact numbers: 5, 5.0 and 5.00 are one value, whatever their width, precision and scale;
- floats are another kind, compared after widening to 64 bits; every NaN is the same, and -0.0 is not 0.0, since each
  place that de-classes moves values to keeps the sign of a zero;
- timestamps with a zone are instants (neither the zone's name nor the unit matters), those without are wall clock
  times, a kind of their own; likewise durations and times of day in any unit, and dates;
- an interval's months, days and nanoseconds are three things;
- text is one kind and bytes another, whether plain, large, view, fixed in size or dictionary encoded; a `uuid` is its
  lower-case text, a `bool8` a boolean;
- a list is its elements in their order, a struct its fields by name, a map its entries in any order;
- null is one value for all types, and neither an empty string, an empty list, NaN nor zero.

Everything is vectorised; no value is ever a Python object. Buffers are read as the Arrow columnar format lays them out
(https://arrow.apache.org/docs/format/Columnar.html). The mixing function is the finaliser of SplitMix64
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), which is a bijection.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from de_classes.errors import UnknownType

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["Hashes", "hash_values", "mix", "seed_of"]

Hashes: TypeAlias = "npt.NDArray[np.uint64]"
Counts: TypeAlias = "npt.NDArray[np.int64]"

_LIMB = np.uint64(0xFFFF_FFFF)
_GROUP = 9  # decimal digits that fit in a limb of 32 bits


def mix(words: Hashes) -> Hashes:
    """Scatter every word over 64 bits, in place."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def seed_of(name: str) -> np.uint64:
    """A number that is told by the name alone, now and in later releases."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


_NULL = seed_of("null")
_POSITION = seed_of("position") | np.uint64(1)
_LENGTH = seed_of("length") | np.uint64(1)
_POSITIVE, _NEGATIVE = seed_of("number"), seed_of("negative number")


def hash_values(array: pa.Array[Any]) -> Hashes:
    """Hash each value; the result is as long as the array.

    Raises:
        UnknownType: the array, or something nested in it, is of a type that has no canonical form, such as a union.

    """
    if array.null_count == len(array):
        return np.full(len(array), _NULL)
    hashes = _hasher(array.type)(array)
    if array.null_count:
        hashes[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return hashes


def _hasher(type_: pa.DataType) -> Callable[[Any], Hashes]:
    for is_such, hasher in _HASHERS:
        if is_such(type_):
            return hasher
    raise UnknownType(f"the checksum of {type_} values", "the type has no canonical form", "Leave the column out.")


# --- Values of a fixed width ------------------------------------------------------------------------------------------


def _fixed(array: pa.Array[Any], dtype: str) -> npt.NDArray[Any]:
    """The values where they lie in memory; where null, whatever lies there."""
    return _view(array.buffers()[1], dtype, array.offset, len(array))


def _view(buffer: Any, dtype: str, begin: int, length: int) -> npt.NDArray[Any]:
    """So many items of a buffer, not copied; an array without a byte of data may have no buffer at all."""
    if not length:
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, length, begin * np.dtype(dtype).itemsize)


def _finished(words: Hashes, kind: str) -> Hashes:
    words ^= seed_of(kind)
    return mix(words)


def _numbers(magnitude: Hashes, negative: npt.NDArray[np.bool_]) -> Hashes:
    """Exact integers below 2**64 in magnitude; takes the magnitudes over."""
    magnitude ^= np.where(negative, _NEGATIVE, _POSITIVE)
    return mix(magnitude)


def _integers(array: pa.Array[Any]) -> Hashes:
    values = _fixed(array, f"<{_letter(array.type)}{array.type.bit_width // 8}")
    if pt.is_unsigned_integer(array.type):
        return _numbers(values.astype(np.uint64), np.zeros(len(values), bool))
    return _numbers(np.abs(values.astype(np.int64)).view(np.uint64), values < 0)


def _letter(type_: pa.DataType) -> str:
    return "u" if pt.is_unsigned_integer(type_) else "i"


def _floats(array: pa.Array[Any]) -> Hashes:
    values = _fixed(array, f"<f{array.type.bit_width // 8}").astype(np.float64)
    values[np.isnan(values)] = np.nan
    return _finished(values.view(np.uint64), "float")


def _decimals(array: pa.Array[Any]) -> Hashes:
    if array.type.scale < 0:
        array = array.cast(pa.decimal256(76, 0))
    words = array.type.bit_width // 32
    rows = _view(array.buffers()[1], "<u4", array.offset * words, len(array) * words).reshape(-1, words)
    negative = (rows[:, -1] >> 31).astype(bool)
    limbs = _magnitude([rows[:, i].astype(np.uint64) for i in range(words)], negative)
    rest = np.zeros(len(array), np.uint64)  # what does not fit in 64 bits left of the point, and the digits right of it
    digits = array.type.scale
    while digits > 0:
        group = digits % _GROUP or _GROUP
        remainder = _divide(limbs, 10**group) * np.uint64(10 ** (_GROUP - group))
        rest += _part(remainder, digits // -_GROUP)
        digits -= group
    for i, limb in enumerate(limbs[2:], 1):
        rest += _part(limb, i)
    low = limbs[0] | (limbs[1] << np.uint64(32)) if words > 1 else limbs[0]
    whole = _numbers(low, negative)
    return np.where(rest != 0, mix(whole ^ rest), whole)


def _magnitude(limbs: list[Hashes], negative: npt.NDArray[np.bool_]) -> list[Hashes]:
    """Absolute values of two's complement numbers, limbs of 32 bits from the lowest."""
    flip = np.where(negative, _LIMB, np.uint64(0))
    carry = negative.astype(np.uint64)
    for i, limb in enumerate(limbs):
        flipped = (limb ^ flip) + carry
        limbs[i], carry = flipped & _LIMB, flipped >> np.uint64(32)
    return limbs


def _divide(limbs: list[Hashes], divisor: int) -> Hashes:
    """Divide in place by a number below 2**32, as one does on paper, and give the remainder."""
    by = np.uint64(divisor)
    remainder = np.zeros(len(limbs[0]), np.uint64)
    for i in reversed(range(len(limbs))):
        if not (limbs[i].any() or remainder.any()):
            continue
        dividend = (remainder << np.uint64(32)) | limbs[i]
        limbs[i] = dividend // by
        remainder = dividend - limbs[i] * by
    return remainder


def _part(limb: Hashes, place: int) -> Hashes:
    """What a limb at a place adds to the hash: nothing where it is zero, so that zeros at either end do not count."""
    return np.where(limb != 0, mix(limb ^ _mark(place)), np.uint64(0))


def _mark(place: int) -> np.uint64:
    return np.uint64(int(_POSITION) * place % 2**64)


def _booleans(array: pa.Array[Any]) -> Hashes:
    return _finished(array.cast(pa.uint8()).fill_null(0).to_numpy().astype(np.uint64), "boolean")


_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def _moments(values: npt.NDArray[np.int64], unit: str, kind: str) -> Hashes:
    """Seconds and nanoseconds apart, since nanoseconds alone would not reach beyond the year 2262."""
    per_second = _PER_SECOND[unit]
    seconds = values // per_second
    nanoseconds = (values - seconds * per_second) * (1_000_000_000 // per_second)
    words = mix(nanoseconds.view(np.uint64) ^ _POSITION)
    words += seconds.view(np.uint64)
    return _finished(words, kind)


def _timestamps(array: pa.Array[Any]) -> Hashes:
    return _moments(_fixed(array, "<i8"), array.type.unit, "instant" if array.type.tz else "wall clock")


def _durations(array: pa.Array[Any]) -> Hashes:
    return _moments(_fixed(array, "<i8"), array.type.unit, "duration")


def _times(array: pa.Array[Any]) -> Hashes:
    values = _fixed(array, f"<i{array.type.bit_width // 8}").astype(np.int64)
    return _moments(values, array.type.unit, "time of day")


def _dates(array: pa.Array[Any]) -> Hashes:
    if not pt.is_date64(array.type):
        return _finished(_fixed(array, "<i4").astype(np.int64).view(np.uint64), "date")
    # Milliseconds; a time of day should not be there, and is told apart if it is.
    days, time = np.divmod(_fixed(array, "<i8").astype(np.int64), 86_400_000)
    return _finished((days + (time << 32)).view(np.uint64), "date")


def _intervals(array: pa.Array[Any]) -> Hashes:
    values = _fixed(array, "<i4, <i4, <i8")
    words = np.zeros(len(array), np.uint64)
    for place, part in enumerate(("f0", "f1", "f2"), 1):
        words += mix(values[part].astype(np.int64).view(np.uint64) ^ _mark(place))
    return _finished(words, "interval")


# --- Values of a varying length ---------------------------------------------------------------------------------------


def _texts(array: pa.Array[Any]) -> Hashes:
    if pt.is_string_view(array.type):
        array = array.cast(pa.large_string())
    return _variable(array, "text", large=pt.is_large_string(array.type))


def _bytes(array: pa.Array[Any]) -> Hashes:
    if pt.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    return _variable(array, "bytes", large=pt.is_large_binary(array.type))


def _variable(array: pa.Array[Any], kind: str, *, large: bool) -> Hashes:
    _, offsets, data = array.buffers()
    ends = _view(offsets, "<i8" if large else "<i4", array.offset, len(array) + 1)
    return _hash_bytes(data, ends.astype(np.int64), kind)


def _fixed_bytes(array: pa.Array[Any]) -> Hashes:
    width = array.type.byte_width
    offsets = np.arange(array.offset, array.offset + len(array) + 1, dtype=np.int64) * width
    return _hash_bytes(array.buffers()[1], offsets, "bytes")


_HEX = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), "S2")
_UUID_GROUPS = (slice(0, 4), slice(4, 6), slice(6, 8), slice(8, 10), slice(10, 16))


def _uuids(array: Any) -> Hashes:
    raw = _view(array.buffers()[1], "u1", array.offset * 16, len(array) * 16).reshape(-1, 16)
    dash = np.full((len(array), 1), ord("-"), np.uint8)
    columns = []
    for group in _UUID_GROUPS:
        columns += [_HEX[raw[:, group]].view("u1").reshape(len(array), -1), dash]
    text = np.hstack(columns[:-1]).tobytes()
    return _hash_bytes(text, np.arange(len(array) + 1, dtype=np.int64) * 36, "text")


def _hash_bytes(data: Any, offsets: Counts, kind: str) -> Hashes:
    """Hash the byte strings between offsets that follow one another, eight bytes at a time."""
    begin, end = int(offsets[0]), int(offsets[-1])
    padded = np.zeros((end - begin) // 8 + 2, np.uint64)
    padded.view(np.uint8)[: end - begin] = _view(data, "u1", begin, end - begin)
    lengths = np.diff(offsets)
    counts = (lengths + 7) >> 3
    places = _places(counts)
    at = places << 3
    at += np.repeat(offsets[:-1] - begin, counts)
    shift = ((at & 7) << 3).astype(np.uint64)
    at >>= 3
    words = padded[at] >> shift
    at += 1
    words |= padded[at] << (np.uint64(64) - shift)  # a shift by 64 gives 0 in numpy
    filled = counts > 0
    last = np.cumsum(counts)[filled] - 1
    unused = ((counts << 3) - lengths)[filled].astype(np.uint64)
    words[last] &= np.uint64(0xFFFF_FFFF_FFFF_FFFF) >> (unused << np.uint64(3))
    return _fold(words, places, counts, lengths, kind)


def _places(counts: Counts) -> Counts:
    """0, 1, 2 ... within each run of so many."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1], dtype=np.int64) - np.repeat(ends - counts, counts)


def _fold(words: Hashes, places: Counts, counts: Counts, lengths: Counts, kind: str) -> Hashes:
    """One hash of each run of words, where the order of the words in a run counts; takes the words over."""
    marks = places.astype(np.uint64)
    marks += np.uint64(1)
    marks *= _POSITION
    words ^= marks
    return _sum_runs(mix(words), counts, lengths, kind)


def _sum_runs(words: Hashes, counts: Counts, lengths: Counts, kind: str) -> Hashes:
    running = np.zeros(len(words) + 1, np.uint64)
    np.cumsum(words, out=running[1:])
    ends = np.cumsum(counts)
    sums = running[ends] - running[ends - counts]
    sums += lengths.astype(np.uint64) * _LENGTH
    return _finished(sums, kind)


# --- Values made of values --------------------------------------------------------------------------------------------


def _lists(array: Any) -> Hashes:
    if pt.is_fixed_size_list(array.type):
        size = array.type.list_size
        lengths = np.full(len(array), size, np.int64)
        elements = array.values.slice(array.offset * size, len(array) * size)
    else:
        lengths, elements = _runs(array, array.values)
    return _fold(hash_values(elements), _places(lengths), lengths, lengths, "list")


def _list_views(array: Any) -> Hashes:
    """Views may lie anywhere in the elements, overlap, and leave some out."""
    lengths = array.sizes.to_numpy().astype(np.int64)
    lengths[array.is_null().to_numpy(zero_copy_only=False)] = 0
    places = _places(lengths)
    at = np.repeat(array.offsets.to_numpy().astype(np.int64), lengths) + places
    begin, end = (int(at.min()), int(at.max()) + 1) if len(at) else (0, 0)
    hashes = hash_values(array.values.slice(begin, end - begin))
    return _fold(hashes[at - begin], places, lengths, lengths, "list")


def _runs(array: Any, values: pa.Array[Any]) -> tuple[Counts, pa.Array[Any]]:
    """How many elements each list has, and the elements of all of them, one after another."""
    offsets = array.offsets.to_numpy().astype(np.int64)
    return np.diff(offsets), values.slice(offsets[0], offsets[-1] - offsets[0])


def _maps(array: Any) -> Hashes:
    counts, keys = _runs(array, array.keys)
    _, items = _runs(array, array.items)
    entries = _named([("key", hash_values(keys)), ("value", hash_values(items))], len(keys))
    return _sum_runs(mix(entries), counts, counts, "map")


def _structs(array: Any) -> Hashes:
    fields = [(array.type.field(i).name, hash_values(array.field(i))) for i in range(array.type.num_fields)]
    return _finished(_named(fields, len(array)), "struct")


def _named(fields: list[tuple[str, Hashes]], length: int) -> Hashes:
    words = np.zeros(length, np.uint64)
    for name, hashes in fields:
        words += mix(hashes ^ seed_of(name))
    return words


def _dictionaries(array: Any) -> Hashes:
    if len(array.dictionary) > len(array):
        return hash_values(array.dictionary_decode())
    hashes: Hashes = hash_values(array.dictionary)[array.indices.fill_null(0).to_numpy()]
    return hashes


def _run_ends(array: Any) -> Hashes:
    decoded: pa.Array[Any] = pc.call_function("run_end_decode", [array])
    return hash_values(decoded)


def _extensions(array: Any) -> Hashes:
    if isinstance(array.type, pa.UuidType):
        return _uuids(array)
    return hash_values(array.cast(pa.bool_()) if isinstance(array.type, pa.Bool8Type) else array.storage)


_HASHERS: list[tuple[Callable[[pa.DataType], bool], Callable[[Any], Hashes]]] = [
    (pt.is_integer, _integers),
    (pt.is_floating, _floats),
    (pt.is_decimal, _decimals),
    (lambda type_: pt.is_string(type_) or pt.is_large_string(type_) or pt.is_string_view(type_), _texts),
    (pt.is_boolean, _booleans),
    (pt.is_timestamp, _timestamps),
    (pt.is_date, _dates),
    (pt.is_time, _times),
    (pt.is_duration, _durations),
    (pt.is_fixed_size_binary, _fixed_bytes),
    (lambda type_: pt.is_binary(type_) or pt.is_large_binary(type_) or pt.is_binary_view(type_), _bytes),
    (pt.is_struct, _structs),
    (pt.is_map, _maps),
    (lambda type_: pt.is_list(type_) or pt.is_large_list(type_) or pt.is_fixed_size_list(type_), _lists),
    (lambda type_: pt.is_list_view(type_) or pt.is_large_list_view(type_), _list_views),
    (pt.is_dictionary, _dictionaries),
    (pt.is_run_end_encoded, _run_ends),
    (lambda type_: isinstance(type_, pa.BaseExtensionType), _extensions),
    (pt.is_interval, _intervals),
]
