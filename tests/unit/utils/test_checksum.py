from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from de_classes.errors import DatasetError, SchemaMismatch, UnknownType
from de_classes.utils.checksum import Checksum, TableChecksum, checksum
from de_classes.utils.value_hash import hash_values

INT, TEXT, FLOAT, EXACT = pa.int64(), pa.string(), pa.float64(), pa.decimal128(30, 12)
MOMENT = pa.timestamp("us", "UTC")
LINES = pa.list_(pa.struct([("sku", TEXT), ("n", INT)]))
SCHEMA = pa.schema(
    {"i": INT, "t": TEXT, "f": FLOAT, "d": EXACT, "b": pa.bool_(), "m": MOMENT, "raw": pa.binary(), "l": LINES}
    | {"words": pa.list_(TEXT)}
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
lines = st.lists(st.fixed_dictionaries({"sku": st.none() | texts, "n": st.none() | st.integers(0, 3)}), max_size=3)
rows = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "t": st.none() | texts,
        "f": st.none() | st.floats(),
        "d": st.none() | st.decimals(min_value=-(10**17), max_value=10**17, places=12),
        "b": st.none() | st.booleans(),
        "m": st.none() | st.datetimes(timezones=st.just(UTC)),
        "raw": st.none() | st.binary(max_size=20),
        "l": st.none() | lines,
        "words": st.none() | st.lists(st.none() | texts, max_size=3),
    }
)
tables = st.lists(rows, max_size=12)


def table(values: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(values, SCHEMA)


def one(values: Any, type_: pa.DataType | None = None) -> Checksum:
    """The checksum of a table with one column."""
    array = values if isinstance(values, pa.Array) else pa.array(values, type_)
    return checksum([pa.record_batch({"c": array})])


class TestOrder:
    @given(tables, st.randoms(), st.integers(1, 5))
    def test_rows_batches_and_columns_in_any_order(self, values: list[Any], random: Any, size: int) -> None:
        """Shuffled rows and columns, cut into other batches, have the same checksum."""
        shuffled, names = list(values), list(SCHEMA.names)
        random.shuffle(shuffled)
        random.shuffle(names)
        assert checksum(table(values)) == checksum(table(shuffled).select(names).to_batches(max_chunksize=size))

    @given(tables, st.integers(0, 12), st.integers(0, 12))
    def test_slices_of_a_batch_are_read_at_their_offsets(self, values: list[Any], a: int, b: int) -> None:
        """The parts of a sliced table add up to the whole, and each equals a table made of its rows alone."""
        a, b = sorted((a, b))
        whole = table(values).combine_chunks()
        parts = [whole[:a], whole[a:b], whole[b:]]
        assert sum(map(checksum, parts), Checksum.empty()) == checksum(whole)
        assert checksum(parts[1]) == checksum(table(values[a:b]))

    def test_a_batch_larger_than_what_is_summed_at_a_time(self) -> None:
        """A batch of many chunks sums up like the same rows in small batches."""
        big = pa.table({"i": np.arange(50_000), "t": pc.cast(pa.array(np.arange(50_000)), TEXT)})
        assert checksum(big) == checksum(big.to_batches(max_chunksize=777))

    def test_a_value_of_several_megabytes(self) -> None:
        """A text that is longer than what is summed at a time is seen to its end."""
        long = "x" * 9_000_000
        assert one([long, "a"]) == one(["a", long])
        assert one([long, "a"]) != one([long[:-1] + "y", "a"])


def test_a_truth_value_of_a_byte_is_one() -> None:
    """Arrow's `bool8`, where any number but zero is true, is a boolean like any other; in a slice, too."""
    bytes_ = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([9, 1, 0, None, -2], pa.int8()))
    assert one(bytes_.slice(1)) == one([True, False, None, True])


class TestSensitivity:
    @given(tables.filter(bool), rows, st.data())
    def test_any_single_change_is_seen(self, values: list[Any], other: dict[str, Any], data: Any) -> None:
        """A row that differs in one value changes the checksum."""
        at = data.draw(st.integers(0, len(values) - 1))
        name = data.draw(st.sampled_from(SCHEMA.names))
        changed = [*values]
        changed[at] = {**values[at], name: other[name]}
        before, after = table(values).column(name)[at], table(changed).column(name)[at]
        same = before.equals(after) and str(before) == str(after)  # 0.0 equals -0.0
        assume(same or not (name == "f" and str(before) == str(after) == "nan"))
        assert (checksum(table(values)) == checksum(table(changed))) is same

    @given(tables.filter(bool), st.data())
    def test_rows_lost_or_repeated_are_seen(self, values: list[Any], data: Any) -> None:
        """Rows are a multiset: one less, one more, and two copies instead of none all differ."""
        row = data.draw(st.sampled_from(values))
        sums = {checksum(table(values)), checksum(table([*values, row])), checksum(table([*values, row, row]))}
        assert len(sums) == 3

    def test_two_copies_do_not_cancel(self) -> None:
        """Other rows in pairs are not the same as these rows in pairs, as they would be under an exclusive or."""
        assert one([1, 1]).digest != one([2, 2]).digest
        assert one([1, 1]).digest != Checksum.empty().digest

    def test_values_that_change_rows_are_seen(self) -> None:
        """Two values of a column that change places are seen, though each column holds what it held."""
        before = pa.table({"a": [1, 2], "b": ["x", "y"]})
        assert checksum(before) != checksum(pa.table({"a": [1, 2], "b": ["y", "x"]}))

    def test_values_that_change_columns_are_seen(self) -> None:
        """Two values of a row that change places are seen."""
        assert checksum(pa.table({"a": [1], "b": [2]})) != checksum(pa.table({"a": [2], "b": [1]}))

    def test_names_take_part(self) -> None:
        """A column of another name is another column, and an empty one is not a missing one."""
        assert checksum(pa.table({"a": [1]})) != checksum(pa.table({"b": [1]}))
        assert checksum(pa.table({"a": [1]})) != checksum(pa.table({"a": [1], "b": pa.nulls(1)}))

    def test_many_values_have_as_many_hashes(self) -> None:
        """Of a hundred thousand different values of one kind no two have one hash."""
        numbers = np.arange(100_000)
        pairs = pa.FixedSizeListArray.from_arrays(pa.array(np.stack([numbers % 317, numbers // 317], 1).ravel()), 2)
        for values in (pa.array(numbers), pa.array(numbers / 7), pa.array(numbers).cast(TEXT), pairs):
            assert len(np.unique(hash_values(values))) == 100_000

    @pytest.mark.parametrize(
        ("one_value", "another", "type_"),
        [
            (None, "", TEXT),
            ("a", "a\0", TEXT),
            ("", "\0", TEXT),
            ("12345678", "12345678\0", TEXT),
            ("12345678abcdefgh", "abcdefgh12345678", TEXT),
            (None, 0, INT),
            (1, -1, INT),
            (None, float("nan"), FLOAT),
            (0.0, -0.0, FLOAT),
            (None, False, pa.bool_()),
            (None, [], pa.list_(INT)),
            ([], [None], pa.list_(INT)),
            ([1, 2], [2, 1], pa.list_(INT)),
            ([[1], [2]], [[1, 2], []], pa.list_(pa.list_(INT))),
            (None, {"a": None}, pa.struct([("a", INT)])),
            ({"a": 1, "b": 2}, {"a": 2, "b": 1}, pa.struct([("a", INT), ("b", INT)])),
            ([("k", 1)], [("k", 2)], pa.map_(TEXT, INT)),
            ([("k", 1), ("l", 2)], [("k", 2), ("l", 1)], pa.map_(TEXT, INT)),
            (Decimal("0.5"), Decimal("-0.5"), EXACT),
            (Decimal("1.5"), Decimal("1.05"), EXACT),
            (Decimal(10) ** 37, Decimal(10) ** 36, pa.decimal128(38, 0)),
            (Decimal(10) ** 60, -(Decimal(10) ** 60), pa.decimal256(70, 2)),
            (Decimal("1e-20"), Decimal("1e-11"), pa.decimal256(70, 30)),
            (timedelta(days=30), timedelta(days=31), pa.duration("us")),
            (pa.MonthDayNano((1, 0, 0)), pa.MonthDayNano((0, 30, 0)), pa.month_day_nano_interval()),
            (time(12), time(0, 12), pa.time64("us")),
        ],
    )
    def test_values_that_are_easily_confused(self, one_value: Any, another: Any, type_: pa.DataType) -> None:
        """Values that sloppy code takes for each other have different checksums."""
        assert one([one_value], type_) != one([another], type_)

    @pytest.mark.parametrize(
        "values",
        [
            [pa.array([1]), pa.array([1.0]), pa.array([True]), pa.array(["1"]), pa.array([b"1"]), pa.array([[1]])],
            [pa.array([0], type_) for type_ in (MOMENT, pa.timestamp("us"), pa.date32(), pa.time64("us"), INT)],
            [pa.array([0], pa.duration("us")), pa.array([0], INT)],
        ],
    )
    def test_kinds_are_not_confused(self, values: list[pa.Array]) -> None:
        """The same bits as another kind of value are another value."""
        assert len({one(array) for array in values}) == len(values)


class TestRepresentation:
    @pytest.mark.parametrize(
        ("values", "types"),
        [
            (
                [1, None, -5],
                [pa.int8(), pa.int32(), INT, pa.decimal128(5, 2), pa.decimal256(60, 0), pa.decimal32(5, 2)],
            ),
            ([0, 200], [pa.uint8(), pa.uint64(), INT, pa.decimal64(12, 3), pa.uint16()]),
            ([2**64 - 1, 2**63], [pa.uint64(), pa.decimal128(20, 0), pa.decimal256(40, 9)]),
            ([-(2**63), 2**63 - 1], [INT, pa.decimal128(38, 5)]),
            (
                [Decimal("1.1"), Decimal("-0.001"), None],
                [pa.decimal128(10, 3), pa.decimal128(38, 20), pa.decimal256(76, 30)],
            ),
            ([0.5, None, float("inf")], [pa.float16(), pa.float32(), FLOAT]),
            (
                ["a", None, "", "ein längerer Text, über acht Bytes", "a"],
                [
                    TEXT,
                    pa.large_string(),
                    pa.string_view(),
                    pa.dictionary(pa.int8(), TEXT),
                    pa.dictionary(pa.int32(), pa.large_string()),
                ],
            ),
            ([b"a" * 9, None], [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(9)]),
            ([[1, None], None], [pa.list_(INT), pa.large_list(pa.int32()), pa.list_(pa.int8(), 2), pa.list_view(INT)]),
            ([[1, 2], []], [pa.list_(INT), pa.large_list_view(pa.int16())]),
            (
                [datetime(1960, 1, 1, 0, 0, 1, tzinfo=UTC), None, datetime(2200, 1, 1, tzinfo=UTC)],
                [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")],
            ),
            ([datetime(1960, 1, 1, tzinfo=UTC)], [pa.timestamp("s", "UTC"), pa.timestamp("us", "Europe/Berlin")]),
            ([date(1960, 1, 1), None], [pa.date32(), pa.date64()]),
            ([time(1, 2, 3), None], [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]),
            ([timedelta(seconds=-1), None], [pa.duration(unit) for unit in ("s", "ms", "us", "ns")]),
            (
                [{"a": 1, "b": "x"}, None, {"a": None, "b": None}],
                [pa.struct([("a", INT), ("b", TEXT)]), pa.struct([("b", pa.large_string()), ("a", pa.int8())])],
            ),
        ],
        ids=str,
    )
    def test_the_same_values_in_other_types(self, values: list[Any], types: list[pa.DataType]) -> None:
        """How Arrow represents a value does not matter."""
        assert len({one(values, type_) for type_ in types}) == 1

    @given(
        st.lists(st.none() | st.decimals(allow_nan=False, min_value=-(10**20), max_value=10**20, places=9), max_size=9)
    )
    def test_the_scale_of_a_decimal_does_not_count(self, values: list[Decimal | None]) -> None:
        """1.10 is 1.1, for decimals of all sizes and signs."""
        scales = [pa.decimal128(38, 9), pa.decimal128(38, 17), pa.decimal256(60, 30), pa.decimal256(76, 9)]
        assert len({one(values, type_) for type_ in scales}) == 1

    @given(
        st.lists(st.decimals(allow_nan=False, min_value=-(10**25), max_value=10**25, places=6), min_size=2, max_size=2)
    )
    def test_different_decimals_differ(self, values: list[Decimal]) -> None:
        """Two decimals have one checksum exactly when they are equal."""
        a, b = values
        assert (one([a], pa.decimal128(38, 6)) == one([b], pa.decimal256(60, 8))) is (a == b)

    def test_a_negative_scale(self) -> None:
        """A decimal that counts thousands is the number it means."""
        assert one(pa.array([Decimal(5000)], pa.decimal128(5, -3))) == one([5000])

    def test_a_uuid_is_its_text(self) -> None:
        """A uuid, sliced or not, equals the text that PostgreSQL shows of it."""
        ids = [uuid.UUID(int=i * 2**100 + 255) for i in range(4)]
        binary = pa.array([value.bytes for value in ids], pa.binary(16))
        array = pa.ExtensionArray.from_storage(pa.uuid(), binary)
        assert one(array.slice(1, 2)) == one([str(value) for value in ids[1:3]])

    def test_every_not_a_number_is_the_same(self) -> None:
        """NaN has many bit patterns and one meaning."""
        bits = np.array([0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)
        assert len({one([value]) for value in bits}) == 1

    def test_what_lies_under_a_null_does_not_count(self) -> None:
        """Buffers may hold anything where a value is null."""
        mask = pa.array([True, False])
        assert one(pa.array(np.array([7, 1]), mask=mask.to_numpy(zero_copy_only=False))) == one([None, 1])
        children = [pa.array([7, 1])]
        assert one(pa.StructArray.from_arrays(children, ["a"], mask=mask)) == one([None, {"a": 1}])
        assert one(pa.ListArray.from_arrays([0, 2, 3], [7, 8, 1], mask=mask)) == one([None, [1]])

    def test_nulls_in_a_dictionary(self) -> None:
        """A null is a null, whether the index or the dictionary's value is."""
        array = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0], pa.int8()), pa.array([None, "a"]))
        assert one(array) == one([None, "a", None, None], TEXT)
        empty = pa.DictionaryArray.from_arrays(pa.array([None], pa.int8()), pa.array([], TEXT))
        assert one(empty) == one([None], TEXT)

    def test_runs(self) -> None:
        """A run-end encoded column is its decoded values."""
        assert one(pc.run_end_encode(pa.array(["a", "a", None, "b"]))) == one(["a", "a", None, "b"])

    def test_maps_in_any_order(self) -> None:
        """A map's entries have no order, sliced or not."""
        maps = pa.array([[("x", 0)], [("k", 1), ("l", 2)], None], pa.map_(TEXT, INT))
        turned = pa.array([[("l", 2), ("k", 1)], None], pa.map_(pa.large_string(), pa.int32()))
        assert one(maps.slice(1)) == one(turned)

    def test_null_has_no_type(self) -> None:
        """A column of nothing but nulls is the same in all types."""
        assert one(pa.nulls(2)) == one([None, None], TEXT) == one([None, None], LINES)

    def test_slices_of_everything(self) -> None:
        """Nested and fixed-size lists, views and structs are read at the offset of a slice."""
        for type_ in (pa.list_(LINES), pa.list_(INT, 2), pa.list_view(INT), pa.struct([("a", pa.list_(TEXT))])):
            values: list[Any] = {
                pa.list_(LINES): [[[{"sku": str(i), "n": i}]] for i in range(5)],
                pa.struct([("a", pa.list_(TEXT))]): [{"a": [str(i)]} for i in range(5)],
            }.get(type_, [[i, i + 1] for i in range(5)])
            assert one(pa.array(values, type_).slice(2, 2)) == one(values[2:4], type_)


class TestUse:
    def test_tables_without_columns_and_without_rows(self) -> None:
        """Without columns, rows are still counted; without rows, columns do not matter."""
        bare = pa.record_batch({"a": [1, 2]}).select([])
        assert checksum([bare]).rows == 2
        assert checksum([bare]) != checksum([bare.slice(1)])
        assert checksum([]) == checksum(table([])) == Checksum.empty()

    def test_some_columns(self) -> None:
        """Columns may be chosen, in any order."""
        both = pa.table({"a": [1, 2], "b": [3, 4]})
        assert checksum(both, ["a"]) == checksum(both.select(["a"]))
        assert checksum(both, ["b", "a"]) == checksum(both)

    def test_an_accumulator(self) -> None:
        """Batches may be added one by one."""
        summed = TableChecksum(["a"])
        for value in (1, 2):
            summed.update(pa.record_batch({"a": [value], "other": [value]}))
        assert summed.value == checksum(pa.table({"a": [2, 1]}))

    def test_columns_that_are_not_there(self) -> None:
        """All that is missing, and what is there, stands in one error."""
        with pytest.raises(SchemaMismatch, match=r"'x', 'y'; the batch has 'a'"):
            checksum(pa.table({"a": [1]}), ["x", "a", "y"])

    def test_two_columns_of_one_name(self) -> None:
        """Two columns of one name could not be told apart, and are refused."""
        with pytest.raises(SchemaMismatch, match="'a'"):
            checksum([pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])])

    def test_types_without_a_canonical_form(self) -> None:
        """A union is refused, and its column named."""
        union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
        with pytest.raises(UnknownType, match="column 'c'"):
            one(union)

    def test_json(self) -> None:
        """What was written down is the same when it is read again, and anything else is refused."""
        summed = one([1, 2, 3])
        kept = json.loads(json.dumps(summed.to_json()))
        assert Checksum.from_json(kept) == summed
        assert len(str(summed)) == 32
        for wrong in ({**kept, "algorithm": 0}, {**kept, "digest": "xyz"}, {"algorithm": 1}):
            with pytest.raises(DatasetError, match="checksum"):
                Checksum.from_json(wrong)

    def test_the_digest_stays_what_it_is(self) -> None:
        """Checksums are kept in commit logs, so the algorithm may change only together with its number."""
        rows_ = [
            {"i": 1, "t": "a", "f": 0.5, "d": Decimal("1.5"), "b": True, "raw": b"x", "words": ["a", None]},
            {"i": -2},
        ]
        assert checksum(table(rows_)).to_json() == {
            "algorithm": 1,
            "rows": 2,
            "digest": "e3b9d2d268339d30800699613b2a990f",
        }
