from __future__ import annotations

import pickle
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError, SchemaMismatch, ValueNotHeld
from de_classes.transforms import Cast
from de_classes.utils.checksum import checksum

INT, TEXT, FLOAT = pa.int64(), pa.string(), pa.float64()
UTC_US = pa.timestamp("us", "UTC")
dec = pa.decimal128


def cast(values: list[Any], from_: pa.DataType, to: pa.DataType) -> pa.Array:
    return Cast({"c": to})(pa.record_batch({"c": pa.array(values, from_)}))["c"]


class TestWhatFits:
    @pytest.mark.parametrize(
        ("values", "from_", "to", "wanted"),
        [
            ([1, None, -128], INT, pa.int8(), [1, None, -128]),
            ([5, None], INT, dec(6, 2), [Decimal(5), None]),
            ([2**64 - 1], pa.uint64(), dec(20, 0), [Decimal(2**64 - 1)]),
            ([5000], INT, dec(4, -3), [Decimal(5000)]),
            ([Decimal("5.00")], dec(6, 2), INT, [5]),
            ([Decimal("1.10")], dec(6, 2), dec(2, 1), [Decimal("1.1")]),
            ([0.1, None, 19.99, 1e-7], FLOAT, dec(12, 7), [Decimal("0.1"), None, Decimal("19.99"), Decimal("1e-7")]),
            ([0.1], pa.float32(), dec(3, 2), [Decimal("0.1")]),
            ([Decimal("0.10"), None], dec(20, 2), FLOAT, [0.1, None]),
            ([0.5, None, float("inf")], FLOAT, pa.float32(), [0.5, None, float("inf")]),
            ([2.0], FLOAT, INT, [2]),
            ([1, 0], INT, pa.bool_(), [True, False]),
            ([True], pa.bool_(), TEXT, ["true"]),
            (["1.10", None, "1e-2"], TEXT, dec(5, 2), [Decimal("1.1"), None, Decimal("0.01")]),
            (["12", "-3"], TEXT, pa.int16(), [12, -3]),
            (["0.1", "-inf", "Infinity"], TEXT, FLOAT, [0.1, float("-inf"), float("inf")]),
            (["2024-02-29"], TEXT, pa.date32(), [date(2024, 2, 29)]),
            (["2024-02-29T01:02:03.456"], TEXT, pa.timestamp("us"), [datetime(2024, 2, 29, 1, 2, 3, 456_000)]),  # noqa: DTZ001 -- that is the point
            ([time(1, 2, 3)], pa.time32("s"), pa.time64("us"), [time(1, 2, 3)]),
            (["a", "b", "a"], TEXT, pa.dictionary(pa.int8(), TEXT), ["a", "b", "a"]),
            (["1", None], pa.dictionary(pa.int8(), TEXT), INT, [1, None]),
            (["a"], TEXT, pa.string_view(), ["a"]),
            ([[1, None], None, []], pa.list_(INT), pa.large_list(dec(5, 2)), [[Decimal(1), None], None, []]),
            ([{"a": 1}, None], pa.struct([("a", INT)]), pa.struct([("a", TEXT)]), [{"a": "1"}, None]),
            ([None], pa.null(), dec(5, 2), [None]),
        ],
    )
    def test_becomes_the_other_type(self, values: Any, from_: pa.DataType, to: pa.DataType, wanted: Any) -> None:
        """A value that the type holds is the same value in it."""
        made = cast(values, from_, to)
        assert made.type == to
        assert made.to_pylist() == wanted

    def test_offsets_are_read(self) -> None:
        """Texts with any offset are instants."""
        made = cast(["2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00"], TEXT, UTC_US)
        assert made[0] == made[1]

    def test_another_zone_is_the_same_instant(self) -> None:
        """Between zones nothing but the name changes."""
        assert cast([0, 1_000], UTC_US, pa.timestamp("ms", "Europe/Berlin")).cast(INT).to_pylist() == [0, 1]


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("values", "from_", "to"),
        [
            ([1, 128], INT, pa.int8()),
            ([1, -1], INT, pa.uint64()),
            ([1, 2], INT, pa.bool_()),
            ([1, 12345], INT, dec(6, 2)),
            ([1.0, 1.5], FLOAT, INT),
            ([0.0, -0.0], FLOAT, INT),
            ([0.5, 0.1], FLOAT, pa.float32()),
            ([0.1, 0.123], FLOAT, dec(6, 2)),
            ([0.1, 0.1 + 0.2], FLOAT, dec(17, 16)),
            ([0.1, float("nan")], FLOAT, dec(6, 2)),
            ([Decimal("0.1"), Decimal("123456789012345678.91")], dec(20, 2), FLOAT),
            ([Decimal("1.10"), Decimal("1.11")], dec(5, 2), dec(4, 1)),
            ([Decimal("1.00"), Decimal("1.01")], dec(5, 2), INT),
            (["1", "1.105"], TEXT, dec(6, 2)),
            (["1", "12345"], TEXT, dec(6, 2)),
            (["1", "one"], TEXT, INT),
            (["1", ""], TEXT, INT),
            (["1", "1e400"], TEXT, FLOAT),
            (["true", "yes"], TEXT, pa.bool_()),
            (["2024-02-29", "2023-02-29"], TEXT, pa.date32()),
            (["2024-01-01T00:00:00", "2024-01-01T00:00:00.1234567"], TEXT, pa.timestamp("us")),
            (["2024-01-01T00:00:00", "2024-01-01T00:00:00Z"], TEXT, pa.timestamp("us")),
            (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"], TEXT, UTC_US),
            ([0, 1], pa.timestamp("us"), pa.timestamp("ms")),
            ([0, 1], pa.timestamp("us"), pa.date32()),
            ([b"a", b"\xff"], pa.binary(), TEXT),
            ([[1], [1, 300]], pa.list_(INT), pa.list_(pa.int8())),
            ([{"a": "1"}, {"a": "x"}], pa.struct([("a", TEXT)]), pa.struct([("a", INT)])),
        ],
    )
    def test_is_an_error_that_names_column_and_row(self, values: Any, from_: pa.DataType, to: pa.DataType) -> None:
        """The first value that does not fit is told with its column and row, and nothing is rounded or cut."""
        with pytest.raises(ValueNotHeld, match=r"in column 'c', row 1 of the batch, does not fit in") as told:
            cast(values, from_, to)
        assert (told.value.column, told.value.row) == ("c", 1)

    @given(st.lists(st.integers(0, 200), min_size=1, max_size=60))
    def test_the_first_row_is_found(self, values: list[int]) -> None:
        """Of several values that do not fit the first is told, wherever it is."""
        unfit = [row for row, value in enumerate(values) if value > 127]
        if not unfit:
            assert cast(values, INT, pa.int8()).to_pylist() == values
        else:
            with pytest.raises(ValueNotHeld) as told:
                cast(values, INT, pa.int8())
            assert told.value.row == unfit[0]

    def test_a_long_value_is_told_short(self) -> None:
        """A whole document does not fill the message."""
        with pytest.raises(ValueNotHeld) as told:
            cast(["x" * 10_000], TEXT, INT)
        assert len(str(told.value)) < 400


class TestWhatHasNoCast:
    @pytest.mark.parametrize(
        ("from_", "to"),
        [
            (pa.timestamp("us"), UTC_US),
            (UTC_US, pa.timestamp("us")),
            (UTC_US, pa.date32()),
            (pa.timestamp("us"), pa.time64("us")),
            (pa.struct([("a", INT), ("b", INT)]), pa.struct([("a", INT)])),
            (pa.struct([("a", INT)]), TEXT),
            (pa.list_(INT), INT),
            (TEXT, pa.uuid()),
        ],
    )
    def test_is_told_even_without_rows(self, from_: pa.DataType, to: pa.DataType) -> None:
        """Types between which no value stays the same are refused by the first batch, empty or not."""
        with pytest.raises(SchemaMismatch, match="no cast of column 'c' from"):
            cast([], from_, to)


class TestProperties:
    @given(st.lists(st.none() | st.floats(width=32)))
    def test_floats_go_there_and_back(self, values: list[float | None]) -> None:
        """A float that 32 bits hold is the same again after a journey."""
        narrow = pa.record_batch({"c": pa.array(values, pa.float32())})
        again = Cast({"c": pa.float32()})(Cast({"c": FLOAT})(narrow))
        assert checksum([again]) == checksum([narrow])

    @given(st.lists(st.none() | st.decimals(places=3, min_value=1 - 10**9, max_value=10**9 - 1)))
    def test_decimals_go_through_floats_and_texts(self, values: list[Decimal | None]) -> None:
        """A decimal of up to 15 digits is the same again after a journey through floats or texts."""
        exact = pa.record_batch({"c": pa.array(values, dec(12, 3))})
        for between in (FLOAT, TEXT):
            assert Cast({"c": dec(12, 3)})(Cast({"c": between})(exact)).equals(exact)

    @given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)))
    def test_no_float_is_rounded(self, values: list[float | None]) -> None:
        """Whatever float is accepted as a decimal is that very float when it goes back."""
        for value in values:
            try:
                made = cast([value], FLOAT, dec(38, 20))
            except ValueNotHeld:
                continue
            assert cast(made.to_pylist(), dec(38, 20), FLOAT).to_pylist() == [value]

    @pytest.mark.parametrize(
        ("text", "type_"),
        [("1" * 40, dec(38, 0)), ("906", dec(38, 38)), ("1e-41", dec(10, 2)), ("0." + "0" * 80 + "1", dec(38, 0))],
    )
    def test_no_text_becomes_another_number(self, text: str, type_: pa.DataType) -> None:
        """Numbers with more digits than decimals have are refused, whichever way round they are too many."""
        with pytest.raises(ValueNotHeld, match="row 1 of the batch, does not fit"):
            cast(["0", text], TEXT, type_)

    @pytest.mark.parametrize("value", [1e-300, 5e-324, 1e300, float("nan"), float("-inf")])
    def test_no_float_becomes_another_number(self, value: float) -> None:
        """Floats far from any decimal are refused, as are those that are no numbers."""
        with pytest.raises(ValueNotHeld, match="row 1 of the batch, does not fit"):
            cast([0.0, value], FLOAT, dec(38, 10))

    def test_texts_of_any_kind_become_decimals(self) -> None:
        """Bytes and views are texts, too, and exponents do no harm."""
        for kind in (pa.large_string(), pa.string_view(), pa.binary()):
            texts = pa.array(["1.5", "25e-1", None]).cast(kind)
            made = Cast({"c": dec(4, 2)})(pa.record_batch({"c": texts}))["c"]
            assert made.to_pylist() == [Decimal("1.50"), Decimal("2.50"), None]


class TestColumns:
    BATCH = pa.RecordBatch.from_pylist(
        [{"a": 1, "b": 2}],
        pa.schema(
            [pa.field("a", INT, nullable=False, metadata={"pg": "int8"}), pa.field("b", INT, metadata={"pg": "int8"})],
            {"table": "orders"},
        ),
    )

    def test_untouched_columns_keep_their_metadata(self) -> None:
        """What changes its type loses the metadata that told of the old one; all else stays, nullability too."""
        made = Cast({"a": TEXT, "b": INT})(self.BATCH).schema
        wanted = pa.schema([pa.field("a", TEXT, nullable=False), self.BATCH.schema.field("b")], {"table": "orders"})
        assert made.equals(wanted, check_metadata=True)
        assert Cast({"a": TEXT, "b": INT})(self.BATCH.slice(1)).schema.equals(wanted, check_metadata=True)

    def test_names_missing_columns(self) -> None:
        """Every missing column is named."""
        with pytest.raises(SchemaMismatch, match="no column 'x', 'y'"):
            Cast({"x": INT, "a": INT, "y": INT})(self.BATCH)

    def test_pickles_and_reads_well(self) -> None:
        """A copy is equal, and repr tells the types as Arrow writes them."""
        it = Cast({"a": dec(12, 2), "b": UTC_US})
        assert pickle.loads(pickle.dumps(it)) == it
        assert repr(it) == "Cast({'a': decimal128(12, 2), 'b': timestamp[us, tz=UTC]})"

    def test_refuses_nonsense(self) -> None:
        """What is no Arrow type is refused before any batch comes."""
        with pytest.raises(ConfigurationError, match="'int' for 'a', <class 'int'> for 'b'"):
            Cast({"a": "int", "b": int})  # type: ignore[dict-item]
