from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api import ApiClient
from de_classes.api._doors.downloads import main
from de_classes.api._reading import utf8_pieces
from de_classes.api.downloads import Csv, Download, Downloaded, DownloadSource, Ndjson, download_to
from de_classes.api.messages import Request, Response, Streamed
from de_classes.contracts import Plan, Source
from de_classes.errors import (
    ApiUnreachable,
    ConfigurationError,
    InvalidAnswer,
    InvalidFile,
    SchemaMismatch,
    ValueNotHeld,
)
from de_classes.pipelines import Pipeline
from de_classes.storage.objects import LocalStore, MemoryStore
from de_classes.testing.contract import SourceContract
from de_classes.testing.http import Asked, LoopbackServer, Reply, ScriptedServer
from de_classes.testing.memory import MemoryDestination
from de_classes.utils.retry import RetryPolicy

SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), ("price", pa.decimal128(38, 2))])
LINES = b'{"id": 1, "price": 1.10}\n\n{"id": 2, "price": null}\r\n{"id": 3}'
ROWS = [{"id": 1, "price": Decimal("1.10")}, {"id": 2, "price": None}, {"id": 3, "price": None}]
HASTY = RetryPolicy(attempts=3, wait_seconds=0)
Range = tuple[int, int]


class Shelf:
    """A server of one file, with HEAD, ETags and ranges, that can break off."""

    def __init__(self, body: bytes, etag: str | None = '"v1"', **headers: str) -> None:
        self.body, self.etag, self.headers = body, etag, headers
        self.breaks = 0
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        headers = {**self.headers, **({"ETag": self.etag} if self.etag else {})}
        start = asked.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
        cut = self.breaks > 0 and asked.method == "GET"
        self.breaks -= cut
        if start and asked.headers["if-range"] == self.etag:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
            return Reply(206, self.body[int(start) :], headers, cut="within" if cut else "")
        return Reply(200, self.body, headers, cut="within" if cut else "")


def taken(plan: Plan) -> list[dict[str, Any]]:
    return [row for split in plan.splits for batch in split.read() for row in batch.records.to_pylist()]


@contextmanager
def served(shelf: Callable[[Asked], Reply], download: Download, **settings: Any) -> Iterator[DownloadSource]:
    with LoopbackServer(shelf) as server, ApiClient(server.url, retry=HASTY) as client:
        yield DownloadSource(client, [download], **settings)


def rows_of(shelf: Callable[[Asked], Reply], download: Download, **settings: Any) -> list[dict[str, Any]]:
    with served(shelf, download, **settings) as source, source.plan(download.stream, None) as plan:
        return taken(plan)


class TestContract(SourceContract):
    @pytest.fixture
    def shelf(self) -> Shelf:
        return Shelf(LINES)

    @pytest.fixture
    def source(self, shelf: Shelf) -> Iterator[Source]:
        with served(shelf, Download("orders", "/orders.ndjson", schema=SCHEMA, primary_key=("id",))) as source:
            yield source

    @pytest.fixture
    def grown(self, shelf: Shelf, source: Source) -> Callable[[], Source]:
        def grow() -> Source:
            shelf.body, shelf.etag = LINES + b'\n{"id": 4}\n', '"v2"'
            return source

        return grow


class TestNdjson:
    def test_gives_the_exact_values(self) -> None:
        """Decimals are what the digits say; blank lines and a missing end of the last line are nothing."""
        assert rows_of(Shelf(LINES), Download("orders", "/orders", schema=SCHEMA)) == ROWS

    @given(
        st.lists(st.fixed_dictionaries({"a": st.integers(-(2**63), 2**63 - 1), "t": st.text(max_size=9)}), max_size=20),
        st.integers(1, 40),
        st.integers(20, 200),
    )
    def test_gives_the_same_however_it_is_cut(self, records: list[dict[str, Any]], cut: int, size: int) -> None:
        """Pieces of any size and batches of few lines hold what was written, batch by batch."""
        schema = pa.schema([("a", pa.int64()), ("t", pa.string())])
        whole = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]

        def batches(pieces: list[bytes]) -> list[pa.RecordBatch]:
            read = Ndjson().batches(iter(pieces), schema, size, table="t", where="the file")
            return [batch.records for batch in read]

        found = batches(pieces)
        assert [row for batch in found for row in batch.to_pylist()] == records
        assert found == batches([whole])

    @pytest.mark.parametrize("line", ['{"id": 1} {"id": 2}', '{"id":', '{"id": 1},', "nope", "\ufeff{}"])
    def test_a_line_that_is_no_json_is_named(self, line: str) -> None:
        """Lines are values of their own: none is completed by the next, or split."""
        with pytest.raises(InvalidFile, match="line 3 is no JSON"):
            rows_of(Shelf(f'{{"id": 7}}\n\n{line}\n{{"id": 8}}'.encode()), Download("orders", "/o", schema=SCHEMA))

    def test_a_line_that_does_not_fit_is_told(self) -> None:
        """A field that is not declared, and a value that does not fit, are errors that say where."""
        with pytest.raises(SchemaMismatch, match="'extra'"):
            rows_of(Shelf(b'{"id": 1, "extra": 1}'), Download("orders", "/o", schema=SCHEMA))
        with pytest.raises(ValueNotHeld, match="lines from 1 on"):
            rows_of(Shelf(b'{"id": "x"}'), Download("orders", "/o", schema=SCHEMA))

    def test_a_line_beyond_measure_is_an_error(self) -> None:
        """What would fill the memory is refused, with the remedy."""
        long = Download("orders", "/o", Ndjson(max_line_bytes=100))
        with pytest.raises(InvalidFile, match="max_line_bytes"):
            rows_of(Shelf(b'{"id": "' + b"x" * 200 + b'"}\n'), long, batch_bytes=50)

    def test_columns_are_inferred_where_none_are_declared(self) -> None:
        """The first batch tells the columns; what does not fit them later is an error, and no number loses digits."""
        lines = b'{"a": 1, "b": 0.1}\n' * 20
        with pytest.raises((SchemaMismatch, ValueNotHeld)):
            rows_of(Shelf(lines + b'{"a": 1, "b": 0.1, "c": 1}'), Download("t", "/t"), batch_bytes=100)
        with pytest.raises((SchemaMismatch, ValueNotHeld)):
            rows_of(Shelf(lines + b'{"a": 1, "b": 0.1234567890123456789}'), Download("t", "/t"), batch_bytes=100)
        assert rows_of(Shelf(b'\xef\xbb\xbf{"a": 1, "b": ["x"]}\n'), Download("t", "/t")) == [{"a": 1, "b": ["x"]}]


class TestFiles:
    @pytest.mark.parametrize("compression", ["auto", "gzip"])
    def test_packed_files_are_unpacked_on_the_way(self, compression: Any) -> None:
        """A .gz file is unpacked, whether that is said or seen by its first bytes."""
        download = Download("orders", "/orders.gz", schema=SCHEMA, compression=compression)
        assert rows_of(Shelf(gzip.compress(LINES)), download) == ROWS

    def test_a_file_that_is_also_packed_for_the_way_is_unpacked_once(self) -> None:
        """Where the server says Content-Encoding of a .gz file, what arrives is the text already."""
        shelf = Shelf(gzip.compress(LINES), **{"Content-Encoding": "gzip"})
        assert rows_of(shelf, Download("orders", "/orders.gz", schema=SCHEMA)) == ROWS

    def test_zstd_is_known_too(self) -> None:
        """As is zstd."""
        assert rows_of(Shelf(pa.compress(LINES, "zstd", asbytes=True)), Download("o", "/o", schema=SCHEMA)) == ROWS

    def test_a_packed_file_that_breaks_off_is_an_error(self) -> None:
        """Half a .gz file gives no rows to commit, though the server calls it whole."""
        with pytest.raises(InvalidFile, match="unpacked as gzip"):
            rows_of(Shelf(gzip.compress(LINES)[:-9]), Download("orders", "/o", schema=SCHEMA))

    def test_a_bomb_is_not_unpacked(self) -> None:
        """What grows beyond measure is not read further."""
        with pytest.raises(InvalidFile, match="grew to"):
            rows_of(Shelf(gzip.compress(b"\n" * 40_000_000)), Download("orders", "/o", schema=SCHEMA))

    def test_a_file_that_broke_off_goes_on_where_it_broke(self) -> None:
        """With a strong ETag the rest is asked for, as often as need be, and every row comes once."""
        shelf = Shelf(b"".join(b'{"id": %d}\n' % n for n in range(50_000)))
        shelf.breaks = 3
        found = rows_of(shelf, Download("orders", "/o", schema=SCHEMA), batch_bytes=1000)
        assert [row["id"] for row in found] == list(range(50_000))
        ranges = [asked.headers.get("range") for asked in shelf.asked if asked.method == "GET"]
        assert len(ranges) == 4
        assert ranges[1] == f"bytes={len(shelf.body) // 2}-"

    @pytest.mark.parametrize("etag", [None, 'W/"v1"'])
    def test_a_file_that_broke_off_fails_where_nothing_vouches_for_the_rest(self, etag: str | None) -> None:
        """Without a strong ETag the rest may be of another file."""
        shelf = Shelf(LINES * 10_000, etag)
        shelf.breaks = 1
        with pytest.raises(ApiUnreachable):
            rows_of(shelf, Download("orders", "/o", schema=SCHEMA))

    @pytest.mark.parametrize("stored", [False, True])
    def test_a_file_whose_client_is_closed_does_not_go_on(self, stored: bool) -> None:
        """close() ends a download, though a strong ETag would let it go on where it broke."""

        class Closing(MemoryStore):
            @contextmanager
            def open_writer(self, key: str, *, expected_bytes: int = 0) -> Iterator[Any]:
                with super().open_writer(key, expected_bytes=expected_bytes) as writer:
                    yield type("Writer", (), {"write": lambda _, data: client.close() or writer.write(data)})()

        def read() -> None:
            with source.plan(source.streams()[0], None) as plan:
                for _ in plan.splits[0].read():
                    client.close()

        shelf = Shelf((LINES + b"\n") * 100_000)
        with LoopbackServer(shelf) as server, ApiClient(server.url, retry=HASTY) as client:
            source = DownloadSource(client, [Download("days", "/days", schema=SCHEMA)], batch_bytes=100_000)
            going = (lambda: download_to(client, "/days", Closing(), "days")) if stored else read
            with pytest.raises(ApiUnreachable, match=r"closed by close\(\)"):
                going()
        assert [asked.method for asked in shelf.asked] == ["HEAD", "GET"]

    def test_a_file_that_changes_while_it_is_read_is_an_error(self) -> None:
        """Rows of two versions never meet."""
        shelf = Shelf(LINES)
        download = Download("orders", "/o", schema=SCHEMA)
        with served(shelf, download) as source, source.plan(download.stream, None) as plan:
            shelf.etag = '"v2"'
            with pytest.raises(InvalidAnswer, match="has changed"):
                taken(plan)

    @pytest.mark.parametrize("etag", [None, '"v2"'])
    def test_the_rest_is_taken_only_of_the_same_file(self, etag: str | None) -> None:
        """A server that answers with the whole of another file, or of nobody knows which, is not believed."""
        first = Reply(200, LINES, {"ETag": '"v1"'}, cut="within")
        then = Reply(200, LINES, {"ETag": etag} if etag else {})
        with ScriptedServer([Reply(405), first, then]) as server, ApiClient(server.url, retry=HASTY) as client:
            source = DownloadSource(client, [Download("orders", "/o", schema=SCHEMA)])
            with source.plan(source.streams()[0], None) as plan, pytest.raises(InvalidAnswer, match="has changed"):
                taken(plan)

    def test_the_whole_of_the_same_file_serves_for_the_rest(self) -> None:
        """What arrived before is left out of a whole answer, where a server knows no ranges."""
        replies = [Reply(200, LINES, {"ETag": '"v1"'}, cut=cut) for cut in ("within", "")]
        with ScriptedServer([Reply(405), *replies]) as server, ApiClient(server.url, retry=HASTY) as client:
            source = DownloadSource(client, [Download("orders", "/o", schema=SCHEMA)])
            with source.plan(source.streams()[0], None) as plan:
                assert taken(plan) == ROWS

    def test_an_answer_shorter_than_announced_is_an_error(self) -> None:
        """Also where a transport does not notice."""
        headers = {"content-length": str(len(LINES) + 1)}
        client = ApiClient("http://files", transport=lambda asked: Response(asked, 200, headers, LINES))
        source = DownloadSource(client, [Download("orders", "/o", schema=SCHEMA)])
        with (
            source.plan(source.streams()[0], None) as plan,
            pytest.raises(ApiUnreachable, match=f"{len(LINES)} of {len(LINES) + 1} bytes"),
        ):
            taken(plan)


class TestCharsets:
    @pytest.mark.parametrize("charset", ["iso-8859-2", "cp1250", "utf-16", "utf-16-le", "utf-16-be", "utf-8"])
    @pytest.mark.parametrize("kind", [Csv(), Ndjson()], ids=["csv", "ndjson"])
    def test_a_text_is_utf8_or_what_the_headers_say(self, kind: Any, charset: str) -> None:
        """What is not UTF-8 is read as Content-Type says, packed files included; what is UTF-8 is, whatever it says."""
        text = "n\nZażółć\n" if isinstance(kind, Csv) else '{"n": "Zażółć"}\n'
        body = text.encode(charset)
        for name, sent in ((charset, body), (charset, gzip.compress(body)), ("iso-8859-2", text.encode())):
            shelf = Shelf(sent, **{"Content-Type": f"text/plain; charset={name}"})
            assert rows_of(shelf, Download("words", "/words", kind)) == [{"n": "Zażółć"}]

    @given(
        text=st.text("aż\u20ac😀", min_size=1),
        charset=st.sampled_from(["utf-8", "utf-16", "cp1250"]),
        cut=st.integers(1, 9),
    )
    def test_wherever_it_is_cut(self, text: str, charset: str, cut: int) -> None:
        """However the pieces come, the text is the same."""
        text, body = text.replace("😀", ""), text.replace("😀", "").encode(charset)
        pieces = (body[at : at + cut] for at in range(0, len(body), cut))
        headers = {"content-type": "text/csv; charset=windows-1250"}
        assert b"".join(utf8_pieces(pieces, headers, "it")).decode() == text

    def test_what_begins_as_utf8_and_goes_on_otherwise_is_an_error(self) -> None:
        """Nobody knows then what the beginning was; what the user says goes before all."""
        body = "n\nZażółć\n".encode() * 999 + "Zażółć\n".encode("cp1250")
        shelf = Shelf(body, **{"Content-Type": "text/csv; charset=windows-1250"})
        with pytest.raises(InvalidAnswer, match="its beginning is UTF-8"):
            rows_of(shelf, Download("words", "/words", Csv()))
        assert rows_of(shelf, Download("words", "/words", Csv(encoding="cp1250")))[-1] == {"n": "Zażółć"}

    def test_a_charset_that_nobody_knows_is_an_error(self) -> None:
        """It is named, with where the encoding can be said."""
        shelf = Shelf(b"n\n\xff\n", **{"Content-Type": "text/csv; charset=x-mine"})
        with pytest.raises(InvalidAnswer, match=r"'x-mine' is not known(.|\n)*encoding"):
            rows_of(shelf, Download("words", "/words", Csv()))


class TestPlans:
    DOWNLOAD = Download("orders", "/orders", schema=SCHEMA)

    def test_a_file_that_has_not_changed_is_not_loaded_again(self) -> None:
        """The ETag is the position; reading the file in another way is reading another table."""
        shelf = Shelf(LINES)
        with served(shelf, self.DOWNLOAD) as source:
            with source.plan(self.DOWNLOAD.stream, None) as plan:
                position = json.loads(json.dumps(plan.position))
                assert plan.whole
            with source.plan(self.DOWNLOAD.stream, position) as plan:
                assert (plan.splits, plan.position) == ((), position)
            shelf.etag = '"v2"'
            with source.plan(self.DOWNLOAD.stream, position) as plan:
                assert len(plan.splits) == 1
        other = Download("orders", "/orders", schema=pa.schema([("id", pa.int32())]))
        assert other.reading("http://x") != self.DOWNLOAD.reading("http://x")

    def test_splits_are_named_by_what_they_hold(self) -> None:
        """The same ETag gives the same id; without one, and with a weak one, each plan has its own."""
        for etag, alike in [('"v1"', True), (None, False), ('W/"v1"', False)]:
            ids = set()
            with served(Shelf(LINES, etag), self.DOWNLOAD) as source:
                for _ in range(2):
                    with source.plan(self.DOWNLOAD.stream, None) as plan:
                        ids |= {split.id for split in plan.splits}
            assert (len(ids) == 1) is alike

    def test_servers_that_know_no_head_are_read_too(self) -> None:
        """A refusal of HEAD only means that nothing is known beforehand."""
        with ScriptedServer([Reply(405), Reply(body=LINES)]) as server, ApiClient(server.url) as client:
            source = DownloadSource(client, [self.DOWNLOAD])
            with source.plan(self.DOWNLOAD.stream, None) as plan:
                assert taken(plan) == ROWS
                assert plan.position is not None

    def test_what_cannot_be_is_refused_at_once(self) -> None:
        """Settings, names and positions that mean nothing are the user's mistakes."""
        with pytest.raises(ConfigurationError, match="empty; compression='rar'"):
            Download("", "/x", compression="rar")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="no column"):
            Download("t", "/x", schema=SCHEMA, primary_key=("nothing",))
        client = ApiClient("http://files")
        with pytest.raises(ConfigurationError, match="twice: t"):
            DownloadSource(client, [Download("t", "/x"), Download("t", "/y", Csv())])
        source = DownloadSource(client, [self.DOWNLOAD])
        with (
            pytest.raises(ConfigurationError, match="not left by a download"),
            source.plan(self.DOWNLOAD.stream, {"page": 1}),
        ):
            pass


def test_runs_load_what_has_changed_and_nothing_that_broke_off() -> None:
    """A run that finds the file unchanged asks for no byte of it; a download that fails leaves the table as it was."""
    shelf, destination = Shelf(LINES), MemoryDestination()
    download = Download("orders", "/orders", schema=SCHEMA, primary_key=("id",))
    with served(shelf, download) as source:
        pipeline = Pipeline("p", source, destination, mode="merge")
        assert [pipeline.run().rows, pipeline.run().rows] == [3, 0]
        assert [asked.method for asked in shelf.asked] == ["HEAD", "GET", "HEAD"]
        shelf.body, shelf.etag, shelf.breaks = LINES.replace(b"1.10", b"2.20"), None, 99
        with pytest.raises(ApiUnreachable):
            pipeline.run()
        before = destination.table("orders")
        assert before is not None
        assert before.to_pylist() == ROWS
        shelf.breaks = 0
        pipeline.run()
    after = destination.table("orders")
    assert after is not None
    assert after.to_pylist()[0]["price"] == Decimal("2.20")


class Endless:
    """A transport that makes a large file while it is read."""

    def __init__(self, piece: bytes, times: int) -> None:
        self.piece, self.times = piece, times

    def __call__(self, request: Request) -> Response:
        return Response(request, 200, {}, b"")

    @contextmanager
    def stream(self, request: Request, **limits: Any) -> Iterator[Streamed]:
        headers = {"content-length": str(len(self.piece) * self.times)}
        yield Streamed(request, 200, headers, iter(self.piece for _ in range(self.times)))


@pytest.mark.parametrize("kind", [Csv(header=False), Ndjson()], ids=["csv", "ndjson"])
def test_memory_is_bounded_whatever_the_size(kind: Any) -> None:
    """A file of 60 MB is read within a few MB: neither its bytes nor its rows pile up."""
    line = (
        b'{"a": 1234567, "b": "' + b"x" * 100 + b'"}\n'
        if isinstance(kind, Ndjson)
        else b"1234567," + b"x" * 100 + b"\n"
    )
    piece = line * 500
    times = 60_000_000 // len(piece)
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    client = ApiClient("http://files", transport=Endless(piece, times))
    source = DownloadSource(client, [Download("t", "/t", kind, schema)], batch_bytes=1_000_000)
    arrow = pa.total_allocated_bytes()
    with source.plan(source.streams()[0], None) as plan:
        tracemalloc.start()
        try:
            rows, most = 0, 0
            for batch in plan.splits[0].read():
                rows += batch.records.num_rows
                most = max(most, pa.total_allocated_bytes() - arrow)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert rows == 500 * times
    assert peak < 8_000_000
    assert most < 16_000_000


class TestIntoAStore:
    def test_puts_the_file_as_it_is(self) -> None:
        """The object has the file's bytes, and its size and checksum are told."""
        store, body = MemoryStore(), bytes(range(256)) * 1000
        with LoopbackServer(Shelf(body)) as server, ApiClient(server.url) as client:
            done = download_to(client, "/file", store, "a/file", sha256=hashlib.sha256(body).hexdigest())
        assert done == Downloaded("a/file", len(body), hashlib.sha256(body).hexdigest(), '"v1"')
        assert store.get("a/file") == body

    def test_leaves_nothing_of_a_file_that_is_not_whole(self, tmp_path: Path) -> None:
        """A download that always breaks off leaves no object, after as many attempts as were allowed."""
        store, shelf = LocalStore(tmp_path), Shelf(b"x" * 300_000, None)
        shelf.breaks = 99
        with (
            LoopbackServer(shelf) as server,
            ApiClient(server.url, retry=HASTY) as client,
            pytest.raises(ApiUnreachable),
        ):
            download_to(client, "/file", store, "file", retry=HASTY)
        assert [info.key for info in store.list()] == []
        assert sum(asked.method == "GET" for asked in shelf.asked) == 3

    def test_begins_anew_where_nothing_vouches_for_the_rest(self) -> None:
        """Without an ETag the whole file is asked for again, and the object is one whole file."""
        store, shelf = MemoryStore(), Shelf(b"abc" * 100_000, None)
        shelf.breaks = 1
        with LoopbackServer(shelf) as server, ApiClient(server.url, retry=HASTY) as client:
            download_to(client, "/file", store, "file", retry=HASTY)
        assert store.get("file") == shelf.body

    def test_refuses_another_file_than_was_expected(self) -> None:
        """With a checksum that does not agree nothing is stored."""
        store = MemoryStore()
        with (
            LoopbackServer(Shelf(b"abc")) as server,
            ApiClient(server.url) as client,
            pytest.raises(InvalidAnswer, match="SHA-256"),
        ):
            download_to(client, "/file", store, "file", sha256="0" * 64)
        assert list(store.list()) == []

    def test_memory_is_bounded(self, tmp_path: Path) -> None:
        """A large file passes through in pieces."""
        client = ApiClient("http://files", transport=Endless(b"x" * 65_536, 1000))
        tracemalloc.start()
        try:
            done = download_to(client, "/file", LocalStore(tmp_path), "file")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert done.bytes == 65_536_000
        assert peak < 4_000_000


def test_splits_travel() -> None:
    """A split is picklable, and reads the same where it arrives."""
    download = Download("orders", "/orders", schema=SCHEMA)
    with served(Shelf(LINES), download) as source, source.plan(download.stream, None) as plan:
        assert taken(Plan(pickle.loads(pickle.dumps(plan.splits)))) == ROWS


class TestDoor:
    def test_shows_a_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The first rows, the columns and the number of rows are told."""
        with LoopbackServer(Shelf(b"id,name\n1,\n2,b\n")) as server:
            assert main([f"{server.url}/shops.csv?x=1", "--rows", "1", "--null", ""]) == 0
        assert capsys.readouterr().out == "{'id': '1', 'name': None}\nid: string\nname: string\n2 rows\n"

    def test_saves_a_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The file is there when it is whole, under its name."""
        with LoopbackServer(Shelf(LINES)) as server:
            assert main([f"{server.url}/orders", "--save", str(tmp_path / "orders.ndjson")]) == 0
            assert main([f"{server.url}/orders", "--save", str(tmp_path / "no" / "orders.ndjson")]) == 2
        assert (tmp_path / "orders.ndjson").read_bytes() == LINES
        assert [path.name for path in tmp_path.iterdir()] == ["orders.ndjson"]
        assert f"{len(LINES)} bytes" in capsys.readouterr().out
