from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from de_classes.errors import (
    ConfigurationError,
    InvalidFile,
    PlanLost,
    SchemaMismatch,
    TooManyMisfits,
    ValueNotHeld,
)
from de_classes.formats import Csv, Ndjson
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import Dataset, DatasetDestination, Files, FileSource, LocalStore, MemoryStore, Parquet
from de_classes.storage.objects._patterns import is_meant
from de_classes.storage.objects.files import NoFilesFound
from de_classes.testing.contract import SourceContract
from de_classes.testing.memory import MemoryDestination

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from de_classes.contracts import Source
    from de_classes.pipelines import RunReport

SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.string())])


def filled(files: Mapping[str, bytes | str]) -> MemoryStore:
    store = MemoryStore()
    for key, data in files.items():
        store.put(key, data.encode() if isinstance(data, str) else data)
    return store


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def int96(columns: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, use_deprecated_int96_timestamps=True, store_schema=False)
    return sink.getvalue()


def rows_of(files: Mapping[str, bytes | str], what: Files, **settings: Any) -> list[dict[str, Any]]:
    source = FileSource(filled(files), {"t": what}, **settings)
    with source.plan(source.streams()[0], None) as plan:
        return [row for split in plan.splits for batch in split.read() for row in batch.records.to_pylist()]


class Loading:
    """A pipeline from a store into memory, run as often as a test likes."""

    def __init__(self, what: Files, *, mode: str = "append", evolves: bool = False) -> None:
        self.store = MemoryStore()
        self.into = MemoryDestination(schema_changes="evolve" if evolves else "freeze")
        self.what, self.mode = what, mode

    def run(self, **files: str | bytes) -> RunReport:
        for name, data in files.items():
            self.store.put(f"in/{name}.csv", data.encode() if isinstance(data, str) else data)
        source = FileSource(self.store, {"t": self.what}, split_bytes=20)
        return Pipeline("p", source, self.into, mode=self.mode).run()

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        table = self.into.table("t")
        return sorted(tuple(row.values()) for row in table.to_pylist()) if table is not None else []


@pytest.mark.parametrize(
    ("pattern", "meant", "others"),
    [
        (
            "a/*.csv",
            ["a/x.csv", "a/y.csv"],
            ["a/b/x.csv", "a/x.csv.gz", "b/x.csv", "a/_x.csv", "a/.x.csv"],
        ),
        ("a/**/*.csv", ["a/x.csv", "a/b/x.csv", "a/b/c/x.csv"], ["b/x.csv", "a/_tmp/x.csv", "a/b/_x.csv"]),
        ("a/**", ["a/x", "a/b/x.csv"], ["b/x", "a/_SUCCESS"]),
        ("a/_*", ["a/_SUCCESS"], ["a/x"]),
        ("d=202[45]/p-??.{csv,json}", ["d=2024/p-01.csv", "d=2025/p-99.json"], ["d=2023/p-01.csv", "d=2024/p-1.csv"]),
        ("[!a]*", ["b.csv"], ["a.csv", "_b"]),
        ("a[[]1].csv", ["a[1].csv"], ["a1.csv"]),
        ("a+b(1).csv", ["a+b(1).csv"], ["aab(1).csv"]),
    ],
)
def test_patterns_say_which_keys_are_meant(pattern: str, meant: list[str], others: list[str]) -> None:
    """Stars stay within a name, two of them cross folders, and hidden names are met only where that is said."""
    assert [key for key in meant + others if is_meant(key, pattern)] == meant


class TestContract(SourceContract):
    reaches_an_end = False  # the ledger knows what is loaded, and the position does not

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalStore:
        store = LocalStore(tmp_path)
        store.put("a.csv", b"id,x\n1,a\n2,b\n")
        store.put("b.csv", b"id,x\n3,c\n")
        return store

    @pytest.fixture
    def source(self, store: LocalStore) -> Source:
        return FileSource(store, {"t": Files("*.csv", Csv(), SCHEMA, ("id",))}, split_bytes=1)

    @pytest.fixture
    def grown(self, store: LocalStore, source: Source) -> Callable[[], Source]:
        def grow() -> Source:
            store.put("c.csv", b"id,x\n4,d\n")
            return source

        return grow


class TestFormats:
    def test_csv_packed_in_any_way(self) -> None:
        """Files are unpacked by their first bytes, and come in the order of their keys."""
        files = {
            "c.csv.bz2": bz2.compress(b"x,id\nc,3\n"),
            "a.csv": "id,x\n1,a\n",
            "b.gz": gzip.compress(b"id,x\n2,b\n"),
        }
        assert rows_of(files, Files("*", Csv(), SCHEMA)) == [
            {"id": 1, "x": "a"},
            {"id": 2, "x": "b"},
            {"id": 3, "x": "c"},
        ]

    def test_ndjson(self) -> None:
        """Columns are what the first files show; those with nulls alone are text."""
        files = {"a.json": '{"id": 1, "n": null}\n', "b.json": '{"id": 2, "more": [1.5]}\n', "c.json": ""}
        assert rows_of(files, Files("*.json")) == [
            {"id": 1, "n": None, "more": None},
            {"id": 2, "n": None, "more": [1.5]},
        ]

    def test_parquet(self) -> None:
        """Columns are found by name; narrower ones get wider, those that a file lacks are null."""
        old = pa.table({"id": pa.array([1], pa.int32()), "x": pa.array(["a"]).dictionary_encode()})
        new = pa.table({"x": ["b"], "id": pa.array([2], pa.int64()), "y": [Decimal("1.50")]})
        assert rows_of({"1.parquet": parquet(old), "2.parquet": parquet(new)}, Files("*", Parquet())) == [
            {"id": 1, "x": "a", "y": None},
            {"id": 2, "x": "b", "y": Decimal("1.50")},
        ]

    def test_parquet_that_does_not_fit(self) -> None:
        """A column of another kind, one that is not declared, and one that is lacking stand in one error."""
        wanted = pa.schema([pa.field("id", pa.int32()), pa.field("must", pa.string(), nullable=False)])
        there = parquet(pa.table({"id": pa.array([1], pa.int64()), "z": [1]}))
        with pytest.raises(SchemaMismatch, match=r"lacks must; id is int64 and not int32; it has z, not declared"):
            rows_of({"a": there}, Files("*", Parquet(), wanted))

    def test_parquet_with_none_of_the_columns(self) -> None:
        """Its rows are not left out in silence with their columns."""
        with pytest.raises(SchemaMismatch, match="it has none of the columns"):
            rows_of({"a": parquet(pa.table({"y": [1]}))}, Files("*", Parquet(extra_columns="ignore"), SCHEMA))

    def test_parquet_with_a_name_twice(self) -> None:
        """Which of the two columns is meant nobody knows."""
        there = {"a": parquet(pa.table([[1], [2]], names=["id", "id"]))}
        for schema in (None, SCHEMA):
            with pytest.raises(SchemaMismatch, match="it has id more than once"):
                rows_of(there, Files("*", Parquet(), schema))

    def test_moments_of_int96_do_not_wrap(self) -> None:
        """The end of the year 9999 is loaded as such, or told; so are nanoseconds where there is no room for them."""
        late, early = (dt.datetime.fromisoformat(told) for told in ("9999-12-31 01:00:00.000005", "2020-01-01"))
        micros = pa.schema([("at", pa.timestamp("us"))])
        there = {"a": int96({"at": [late, None, early]})}
        assert [row["at"] for row in rows_of(there, Files("*", Parquet(), micros))] == [late, None, early]
        with pytest.raises(InvalidFile, match="outside of 1677 to 2262"):
            rows_of(there, Files("*", Parquet()))
        with pytest.raises(InvalidFile, match="outside of 1677 to 2262"):
            rows_of({"a": int96({"at": [[late]]})}, Files("*", Parquet()))
        with pytest.raises(InvalidFile, match="finer than a microsecond"):
            rows_of({"a": int96({"at": pa.array([1], pa.timestamp("ns"))})}, Files("*", Parquet(), micros))

    @pytest.mark.parametrize("codec", ["gzip", "zstd", "bz2"])
    def test_a_packed_file_that_is_cut_off(self, codec: Any) -> None:
        """It is told with its place and what to do, and none of it is loaded."""
        packed = (
            pa.compress(b"id\n" + b"1\n" * 1000, codec, asbytes=True) if codec != "bz2" else bz2.compress(b"id\n1\n")
        )
        with pytest.raises(
            InvalidFile, match=rf"memory:///a: it cannot be unpacked as {codec}(.|\n)*see that it is whole"
        ):
            rows_of({"a": packed[:-4]}, Files("*", Csv(), pa.schema({"id": pa.int64()}), allowed_misfits=1))

    def test_structs_grow_as_columns_do(self) -> None:
        """A field that only some of the files have within a struct, or a list of them, is null in the others' rows."""
        old: Any = {"x": 1}
        new: Any = {"x": 2, "y": "k"}
        there = {name: parquet(pa.table({"s": [one], "l": [[one]]})) for name, one in (("a", old), ("b", new))}
        held = {**old, "y": None}
        assert rows_of(there, Files("*", Parquet())) == [{"s": held, "l": [held]}, {"s": new, "l": [new]}]

    def test_columns_beyond_the_sample_are_told_with_its_setting(self) -> None:
        """What only a file shows that was not looked at is refused with the way to look at more of them."""
        there = {"a": parquet(pa.table({"n": [1]})), "b": parquet(pa.table({"n": [1], "m": [2]}))}
        with pytest.raises(SchemaMismatch, match=r"memory:///b: it has m(.|\n)*sampled_files="):
            rows_of(there, Files("*", Parquet()), sampled_files=1)
        assert rows_of(there, Files("*", Parquet()), sampled_files=2) == [{"n": 1, "m": None}, {"n": 1, "m": 2}]

    @pytest.mark.parametrize("form", [Csv(), Ndjson(), Parquet()], ids=["csv", "ndjson", "parquet"])
    def test_what_is_no_such_file(self, form: Any) -> None:
        """Bytes of another kind are told with the file's place."""
        with pytest.raises((InvalidFile, ValueNotHeld), match="memory:///a"):
            rows_of({"a": b"\x89PNG\r\n\x1a\n\xff{"}, Files("*", form))


class TestColumns:
    def test_csv_may_be_guessed(self) -> None:
        """What every text of the sample is exactly gives the type; codes stay text."""
        text = (
            "n,zip,price,at,day,ok,e\n"
            "1,007,1.50,2024-01-01T00:00:00Z,2024-02-29,true,1e5\n"
            "-2,1,2,2024-01-01 00:00:00+01,2024-01-01,false,2\n"
        )
        source = FileSource(filled({"a": text}), {"t": Files("*", Csv(guess=True))})
        with source.plan(source.streams()[0], None) as plan:
            columns = {f.name: str(f.type) for f in next(plan.splits[0].read()).records.schema}
        assert columns == {
            "n": "int64",
            "zip": "string",
            "price": "decimal128(38, 2)",
            "at": "timestamp[us, tz=UTC]",
            "day": "date32[day]",
            "ok": "bool",
            "e": "string",
        }

    def test_a_row_that_does_not_fit_is_no_guess(self) -> None:
        """A row of too few values shows nothing of the columns: it is set aside where that is allowed, else told."""
        there = {"a": "n,e\n1,x\n2\n3,y\n"}
        assert rows_of(there, Files("*", Csv(guess=True), allowed_misfits=0.5)) == [
            {"n": 1, "e": "x"},
            {"n": 3, "e": "y"},
        ]
        with pytest.raises(InvalidFile, match="line 3: it has 1 values where there are 2 columns"):
            rows_of(there, Files("*", Csv(guess=True)))

    def test_a_row_that_is_no_text_is_no_guess(self) -> None:
        """Bytes that are no UTF-8 within what is looked at are a misfit of their line, and the others are guessed."""
        there = {"a": b"id,name\n1,x\n2,\xff\n3,y\n"}
        files = Files("*", Csv(guess=True), allowed_misfits=0.5)
        assert rows_of(there, files) == [{"id": 1, "name": "x"}, {"id": 3, "name": "y"}]
        with pytest.raises(InvalidFile, match=r"line 3.*no UTF8"):
            rows_of(there, Files("*", Csv(guess=True)))

    @pytest.mark.parametrize("text", ["-0", "-0.0", "-0.00"])
    def test_a_zero_with_a_sign_is_no_number(self, text: str) -> None:
        """No type that is guessed has it, so such a column stays text; what is not zero keeps its sign."""
        assert rows_of({"a": f"n\n1\n{text}\n"}, Files("*", Csv(guess=True)))[1] == {"n": text}
        assert rows_of({"a": f"n\n{text}1\n"}, Files("*", Csv(guess=True))) in (
            [{"n": "-01"}],
            [{"n": Decimal(f"{text}1")}],
        )

    @pytest.mark.parametrize("guess", [True, False])
    def test_a_header_of_another_delimiter_is_no_column(self, *, guess: bool) -> None:
        """A header of one name with a delimiter in it is refused, unless it is quoted or the column declared."""
        with pytest.raises(InvalidFile, match=r"one column, 'id;x'\n.*delimiter=';'"):
            rows_of({"a": "id;x\n1;a\n"}, Files("*", Csv(guess=guess)))
        assert rows_of({"a": '"id;x"\na\n'}, Files("*", Csv(guess=guess))) == [{"id;x": "a"}]
        declared = pa.schema([("id;x", pa.string())])
        assert rows_of({"a": "id;x\n1;a\n"}, Files("*", Csv(), declared)) == [{"id;x": "1;a"}]

    def test_a_guess_needs_values(self) -> None:
        """A column without a value in one file, or a file without rows, takes the type that other files show."""
        there = filled({"a": "n,e\n1,\n", "b": "n,e\n", "c": "n,e\n,\n2,\n"})
        source = FileSource(there, {"t": Files("*", Csv(guess=True, null_values=("",)))})
        with source.plan(source.streams()[0], None) as plan:
            columns = {f.name: str(f.type) for f in next(plan.splits[0].read()).records.schema}
        assert columns == {"n": "int64", "e": "string"}

    @pytest.mark.parametrize("form", [Csv(guess=True), Ndjson()], ids=["csv", "ndjson"])
    def test_the_last_line_needs_no_end(self, form: Any) -> None:
        """What the last line of a whole file shows counts."""
        text = "a\n1\n2.50" if isinstance(form, Csv) else '{"a": 1}\n{"a": 2.5}'
        assert [float(row["a"]) for row in rows_of({"a": text}, Files("*", form))] == [1, 2.5]

    @pytest.mark.parametrize("form", [Csv(guess=True), Ndjson()], ids=["csv", "ndjson"])
    def test_a_long_first_record(self, form: Any) -> None:
        """A record that is longer than the sample is neither taken for a broken one nor looked at for hours."""
        long = "x" * (2 << 20)
        text = f'a,b\n"{long}",1\ny,1\n' if isinstance(form, Csv) else f'{{"a": "{long}", "b": 1}}\n{{"a": "y"}}\n'
        assert [row["a"] for row in rows_of({"a": text}, Files("*", form))] == [long, "y"]

    @pytest.mark.parametrize("form", [Csv(guess=True), Ndjson()], ids=["csv", "ndjson"])
    def test_misfits_that_may_be_set_aside_show_nothing(self, form: Any) -> None:
        """A broken record at the front stands in the way of no other."""
        text = "a,b\n1\n2,3\n" if isinstance(form, Csv) else '{"a\n{"a": 2, "b": 3}\n'
        assert rows_of({"a": text}, Files("*", form, allowed_misfits=0.5)) == [{"a": 2, "b": 3}]
        with pytest.raises(InvalidFile):
            rows_of({"a": text}, Files("*", form))

    @pytest.mark.parametrize("text", ["{}\n", "nope\n"])
    def test_lines_that_show_no_column_are_told(self, text: str) -> None:
        """Rows without a column are not left out in silence."""
        with pytest.raises((InvalidFile, SchemaMismatch), match=r"no fields|no JSON"):
            rows_of({"a": text}, Files("*", Ndjson(), allowed_misfits=1))

    def test_are_kept_with_the_position(self) -> None:
        """Later files are read as the first were, and what does not fit them then is told."""
        loading = Loading(Files("in/*", Csv(guess=True)))
        loading.run(a="id\n1\n")
        with pytest.raises(SchemaMismatch, match="int64, and string comes"):
            loading.run(b="id\nx\n")

    def test_grow_with_new_files(self) -> None:
        """A new file may bring columns, and lack others where that is said."""
        loading = Loading(Files("in/*", Csv(missing_columns="null")), evolves=True)
        loading.run(a="id,x\n1,a\n")
        loading.run(b="id,y\n2,b\n")
        assert loading.rows == [("1", "a", None), ("2", None, "b")]

    def test_that_are_frozen_stay(self) -> None:
        """With schema_changes="freeze" a new column is an error that names the file."""
        loading = Loading(Files("in/*", Csv(), schema_changes="freeze"))
        loading.run(a="id,x\n1,a\n")
        with pytest.raises(SchemaMismatch, match=r"b\.csv: it has 'y', not declared"):
            loading.run(b="id,x,y\n2,b,c\n")


class TestLedger:
    def test_each_file_is_loaded_once(self) -> None:
        """Runs take what is new, in whatever order files come, and nothing twice."""
        loading = Loading(Files("in/*", Csv(), SCHEMA))
        assert loading.run(b="id,x\n2,b\n").rows == 1
        assert loading.run(a="id,x\n1,a\n", c="id,x\n3,c\n").rows == 2
        assert loading.run().rows == 0
        assert loading.rows == [(1, "a"), (2, "b"), (3, "c")]

    def test_a_file_without_rows_is_done_with(self) -> None:
        """It is remembered, too."""
        loading = Loading(Files("in/*", Csv(), SCHEMA))
        loading.run(a="id,x\n")
        with FileSource(loading.store, {"t": loading.what}).plan_items(
            loading.what.stream("t"), None, loading.into.ledger("p", loading.what.stream("t"))
        ) as plan:
            assert not plan.splits

    def test_changed_files_are_told_all_at_once(self) -> None:
        """As it is, nothing is loaded while one that was loaded has changed."""
        loading = Loading(Files("in/*", Csv(), SCHEMA))
        loading.run(a="id,x\n1,a\n", b="id,x\n2,b\n")
        with pytest.raises(ConfigurationError, match=r"2 of them .*in/a\.csv, in/b\.csv"):
            loading.run(a="id,x\n1,A\n", b="id,x\n2,B\n", c="id,x\n3,c\n")
        assert loading.rows == [(1, "a"), (2, "b")]

    def test_changed_files_may_be_ignored(self) -> None:
        """What was loaded stays, and what is new is loaded."""
        loading = Loading(Files("in/*", Csv(), SCHEMA, changed="ignore"))
        loading.run(a="id,x\n1,a\n")
        loading.run(a="id,x\n9,z\n", b="id,x\n2,b\n")
        assert loading.rows == [(1, "a"), (2, "b")]

    @pytest.mark.parametrize("mode", ["append", "merge"])
    def test_changed_files_may_be_loaded_again(self, mode: str) -> None:
        """Their former rows go in the same commit, those that the new file lacks, too."""
        what = Files("in/*", Csv(), SCHEMA, ("id",), changed="reload", file_column="file")
        loading = Loading(what, mode=mode)
        loading.run(a="id,x\n1,a\n2,b\n", b="id,x\n3,c\n")
        loading.run(a="id,x\n1,A\n4,d\n")
        assert loading.rows == [(1, "A", "in/a.csv"), (3, "c", "in/b.csv"), (4, "d", "in/a.csv")]
        assert loading.run().rows == 0

    def test_to_replace_is_to_take_all(self) -> None:
        """A run that replaces reads every file that is there, whatever was loaded."""
        loading = Loading(Files("in/*", Csv(), SCHEMA), mode="replace")
        loading.run(a="id,x\n1,a\n")
        loading.store.delete("in/a.csv")
        loading.run(b="id,x\n2,b\n", c="id,x\n3,c\n")
        assert loading.rows == [(2, "b"), (3, "c")]

    def test_a_file_that_changes_while_it_is_read_is_planned_again(self) -> None:
        """What was read of the former is dropped, and the run takes the file that is there."""
        loading = Loading(Files("in/*", Csv(), SCHEMA))
        loading.store.put("in/a.csv", b"id,x\n1,a\n")
        source = FileSource(loading.store, {"t": loading.what})
        with source.plan(source.streams()[0], None) as plan:
            loading.store.put("in/a.csv", b"id,x\n2,bb\n")
            with pytest.raises(PlanLost, match="is another one"):
                list(plan.splits[0].read())
            loading.store.delete("in/a.csv")
            with pytest.raises(PlanLost, match="is gone"):
                list(plan.splits[0].read())

    def test_a_split_is_named_by_its_files_as_they_are(self) -> None:
        """The same files give the same ids, and a changed one another."""
        store = filled({"a": "id,x\n1,a\n", "b": "id,x\n2,b\n"})
        source = FileSource(store, {"t": Files("*", Csv(), SCHEMA)}, split_bytes=1)

        def ids() -> list[str]:
            with source.plan(source.streams()[0], None) as plan:
                return [split.id for split in plan.splits]

        before = ids()
        assert ids() == before
        store.put("a", b"id,x\n1,b\n")
        assert [one == other for one, other in zip(ids(), before, strict=True)] == [False, True]


class TestMisfits:
    TEXT = "id,x\n1,a\nx,b\n3,c\n4,d\n"

    def test_the_first_ends_the_run(self) -> None:
        """As it is, the error says file, line, column and value."""
        with pytest.raises(ValueNotHeld, match=r"in/a\.csv, line 3: 'x' does not fit int64"):
            Loading(Files("in/*", Csv(), SCHEMA)).run(a=self.TEXT)

    def test_up_to_a_share_are_set_aside(self) -> None:
        """They are kept beside the stream with the file and the line."""
        loading = Loading(Files("in/*", Csv(), SCHEMA, allowed_misfits=0.25))
        report = loading.run(a=self.TEXT)
        assert (report.rows, loading.rows) == (3, [(1, "a"), (3, "c"), (4, "d")])
        (rejected,) = loading.into.rejected("t").to_pylist()
        assert rejected["record"] == "x,b"
        assert rejected["place"] == "memory:///in/a.csv, line 3"

    def test_the_share_is_the_one_that_is_written(self) -> None:
        """29 of 100 rows are a share of 0.29, though not by floats."""
        text = "id,x\n" + "1,a\n" * 71 + "z,b\n" * 29
        assert len(rows_of({"a": text}, Files("*", Csv(), SCHEMA, allowed_misfits=0.29))) == 71

    def test_beyond_the_share_nothing_is_loaded(self) -> None:
        """The share is that of each file."""
        loading = Loading(Files("in/*", Csv(), SCHEMA, allowed_misfits=0.24))
        with pytest.raises(TooManyMisfits, match="1 of its 4 rows"):
            loading.run(a=self.TEXT, b="id,x\n" + "1,a\n" * 99)
        assert loading.rows == []


def test_a_pattern_that_never_meant_a_file_warns() -> None:
    """A misspelt pattern or folder is told; one whose files are all loaded, or taken away since, is not."""
    loading = Loading(Files("in/*.csv", Csv(), SCHEMA))
    with pytest.warns(NoFilesFound, match=r"'t': there is none in memory:// that 'in/\*\.csv' means"):
        loading.run()
    loading.run(a="id,x\n1,a\n")
    loading.run()
    loading.store.delete("in/a.csv")
    loading.run()
    source = FileSource(filled({}), {"t": loading.what})
    with pytest.warns(NoFilesFound), source.plan(source.streams()[0], None) as plan:
        assert not plan.splits


def test_settings_that_cannot_be_are_told_all_at_once() -> None:
    """Every problem stands in one error, before the store is asked."""
    wrong: Any = {"compression": "rar", "changed": "reload", "allowed_misfits": 2}
    with pytest.raises(ConfigurationError) as caught:
        FileSource(MemoryStore(), {"t": Files("/a[", **wrong)})
    assert str(caught.value).count(";") == 3


class TestIntoDatasets:
    """A dataset remembers files in its commit log."""

    WHAT = Files("in/*", Csv(), SCHEMA, changed="ignore")

    def put(self, store: MemoryStore, name: str, row: str) -> None:
        store.put(f"in/{name}.csv", f"id,x\n{row}\n".encode())

    def run(self, store: MemoryStore, what: Files = WHAT, **settings: Any) -> int:
        return Pipeline("p", FileSource(store, {"t": what}), DatasetDestination(store, "lake"), **settings).run().rows

    def test_each_file_is_loaded_once(self) -> None:
        """Also when many commits and a checkpoint lie between, and files were rewritten."""
        store = MemoryStore()
        for n in range(70):
            self.put(store, f"{n:03}", f"{n},x")
            assert self.run(store) == 1
        Dataset(store, "lake/t").compact()
        assert self.run(store) == 0
        assert sorted(pa.table(Dataset(store, "lake/t"))["id"].to_pylist()) == list(range(70))

    def test_a_replacement_remembers_what_it_brings(self) -> None:
        """It takes all files; those that it brought are loaded, others are not."""
        store = MemoryStore()
        self.put(store, "a", "1,a")
        assert self.run(store) == 1
        store.delete("in/a.csv")
        self.put(store, "b", "2,b")
        assert self.run(store, mode="replace") == 1
        self.put(store, "a", "1,a")
        assert self.run(store) == 1
        assert pa.table(Dataset(store, "lake/t"))["id"].to_pylist() == [2, 1]

    def test_a_changed_file_is_not_loaded_beside_its_rows(self) -> None:
        """A dataset cannot drop rows, and says so."""
        store, what = MemoryStore(), Files("in/*", Csv(), SCHEMA, changed="reload", file_column="file")
        self.put(store, "a", "1,a")
        self.run(store, what)
        self.put(store, "a", "1,b")
        with pytest.raises(ConfigurationError, match=r"drops files, not rows"):
            self.run(store, what)
        assert pa.table(Dataset(store, "lake/t"))["x"].to_pylist() == ["a"]
