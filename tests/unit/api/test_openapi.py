from __future__ import annotations

import ast
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from de_classes.api._doors import openapi
from de_classes.api.openapi import Document, generated
from de_classes.errors import ConfigurationError
from de_classes.pipelines import Pipeline
from de_classes.testing.http import Answering, Asked, LoopbackServer, Reply, json_reply
from de_classes.testing.memory import MemoryDestination

FIXTURES = Path(__file__).parents[2] / "fixtures" / "openapi"
NAMES = ["shop", "events", "traps"]


def document(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return read


def imported(source: str) -> Any:
    module = ModuleType("written")
    exec(compile(source, "written.py", "exec"), vars(module))  # noqa: S102 -- that it runs is what is tested
    return module


# --- Three APIs that answer as their documents say --------------------------------------------------------------------

ORDERS = [
    {"id": n, "status": "paid", "updated_at": f"2024-01-0{n}T00:00:00Z", "total": 1.1, "lines": [{"sku": "a"}]}
    for n in (1, 2, 3)
]
CUSTOMERS = [{"id": f"00000000-0000-0000-0000-00000000000{n}", "name": None} for n in (1, 2, 3)]
EVENTS = [
    {"id": f"e{n}", "at": "2024-01-01T00:00:00+02:00", "payload": {"n": n}, "code": n or "none", "actor": None}
    for n in range(3)
]


ORDER = {"type": "object", "properties": {"id": {"type": "integer"}}}


def shop(asked: Asked) -> Reply:
    if asked.headers["authorization"] != "Bearer hush":
        return Reply(401)
    if asked.path == "/v2/countries":
        return json_reply([{"code": "DE", "names": {"en": "Germany", "de": "Deutschland"}}])
    if asked.path == "/v2/customers":
        start = int(asked.query["offset"])
        return json_reply({"data": CUSTOMERS[start : start + int(asked.query["limit"])], "meta": {"total": 3}})
    if asked.path.endswith("/payments"):
        return json_reply([{"id": 10 * int(asked.path.split("/")[3]), "paid": True}])
    assert asked.query["per_page"] == "100"
    page = int(asked.query["page"])
    return json_reply({"items": ORDERS[2 * page - 2 : 2 * page], "page": page, "pages": 2})


def events(asked: Asked) -> Reply:
    if asked.path == "/oauth/token":
        assert b"scope=events.read" in asked.body
        return json_reply({"access_token": "t0ken", "token_type": "Bearer", "expires_in": 60})
    assert asked.headers["authorization"] == "Bearer t0ken"
    at = int(asked.query.get("at", 0))
    if asked.path == "/users":
        assert asked.query["page_size"] == "50"
        link = f"/users?page_size=50&at={at + 1}" if at == 0 else None
        return json_reply({"results": [{"user_id": at, "manager": {"user_id": 7}}], "links": {"next": link}})
    if asked.path == "/tags":
        return json_reply([{"id": at}], **({"link": '</tags?at=1>; rel="next"'} if at == 0 else {}))
    assert (asked.query["pageSize"], asked.query["tenant"]) == ("500", "{main}")
    start = int(asked.query.get("pageToken", 0))
    more = start + 2 < len(EVENTS)
    token = str(start + 2) if more else None
    return json_reply({"events": EVENTS[start : start + 2], "nextPageToken": token, "hasMore": more})


def traps(asked: Asked) -> Reply:
    if asked.path == "/class":
        page = int(asked.query["page[number]"])
        return json_reply({"content": [{'na"me\\': str(page), "": True, "def": page}], "page": {"totalPages": 2}})
    return json_reply([{"Id": 1, "map": {"x": 1}, "both": {"b": []}, "flag": None, "other": 5, "mixed": 3}])


@pytest.mark.filterwarnings("ignore::de_classes.api.PagesMayShift")
@pytest.mark.parametrize(
    ("name", "answer", "columns"),
    [
        (
            "shop",
            shop,
            {
                ("orders", "total"): [Decimal("1.10"), Decimal("1.10"), Decimal("1.10")],
                ("customers", "id"): [UUID(customer["id"]) for customer in CUSTOMERS],
                ("countries", "names"): [[("en", "Germany"), ("de", "Deutschland")]],
                ("payments", "order_id"): [1, 2, 3],
                ("payments", "id"): [10, 20, 30],
            },
        ),
        (
            "events",
            events,
            {
                ("events", "payload"): ['{"n":0}', '{"n":1}', '{"n":2}'],
                ("events", "code"): ['"none"', "1", "2"],
                ("users", "manager"): ['{"user_id":7}', '{"user_id":7}'],
                ("tags", "id"): [0, 1],
            },
        ),
        ("traps", traps, {("class", "def"): [0, 1], ("resources", "mixed"): ["3"], ("resources", "other"): [5]}),
    ],
)
def test_what_is_written_loads_the_api(
    name: str, answer: Answering, columns: dict[tuple[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module that is written from a document reads every list of an API that keeps to the document."""
    for variable in ("CORNER_SHOP_TOKEN", "EVENT_STREAM_API_CLIENT_ID", "EVENT_STREAM_API_CLIENT_SECRET"):
        monkeypatch.setenv(variable, "hush")
    with LoopbackServer(answer) as server:
        module = imported(generated({**document(name), "servers": [{"url": server.url}]}))
        destination = MemoryDestination(schema_changes="evolve")
        Pipeline(name, module.source(), destination, mode="replace").run()
    for (stream, column), values in columns.items():
        table = destination.table(stream)
        assert table is not None
        assert table[column].to_pylist() == values


@pytest.mark.parametrize("name", NAMES)
def test_it_is_laid_out_as_formatters_do(name: str) -> None:
    """A formatter finds nothing to change in what is written, and a linter no import too many."""
    ruff = [sys.executable, "-m", "ruff"]
    source = generated(document(name)).encode()
    assert (
        subprocess.run(
            [*ruff, "format", "--line-length=120", "-"], input=source, capture_output=True, check=True
        ).stdout
        == source
    )
    subprocess.run([*ruff, "check", "--isolated", "--select=F", "-"], input=source, capture_output=True, check=True)


def test_guesses_are_marked_and_the_rest_is_told() -> None:
    """Every guess has its reason beside it, and every list that is left out is named at the end with the remedy."""
    source = generated(document("shop"))
    assert "# guess: 'id' by its name" in source
    assert "# guess: the parameter 'page', counted from 1; it ends at 'pages'" in source
    assert "# guess: the path begins with that of 'orders', and 'id' is what tells its records apart" in source
    assert "# - POST /events/search" in generated(document("events"))
    odd = generated(document("traps"))
    assert "# - GET /shops/{shop}/resources: the path wants values" in odd
    assert "# - GET /needs: it must be given the query parameter 'q\"'" in odd
    assert "# - GET /words: a list of what are no objects" in odd


@pytest.mark.parametrize("items", [{}, {"type": "object"}, {"type": "object", "additionalProperties": True}], ids=str)
def test_lists_of_records_that_nobody_describes_are_told(items: dict[str, Any]) -> None:
    """What there might be a table of is left out with its reason, at the top of an answer and within."""
    at_top = {"type": "array", "items": items}
    within = {"type": "object", "properties": {"data": at_top, "total": {"type": "integer"}}}
    answers = {"/top": at_top, "/within": within, "/orders": {"type": "array", "items": ORDER}, "/one/{id}": within}
    paths = {
        path: {"get": {"responses": {"200": {"description": "", "content": {"application/json": {"schema": schema}}}}}}
        for path, schema in answers.items()
    }
    source = generated({"openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": paths})
    assert "# - GET /top: a list of records whose fields are not described" in source
    assert "# - GET /within: 'data' is a list of records whose fields are not described" in source
    assert "/one" not in source


def test_the_command_writes_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """From the command line the same comes out, and what is no document is told."""
    assert openapi.main([str(FIXTURES / "shop.json")]) == 0
    assert capsys.readouterr().out == generated(document("shop"))
    (tmp_path / "x.json").write_text('{"swagger": "2.0"}')
    assert openapi.main([str(tmp_path / "x.json")]) == 2
    assert "Swagger 2" in capsys.readouterr().err


# --- Documents that are not what they should be -----------------------------------------------------------------------


def listing(
    record: Any = None, parameters: Any = (), *, answer: Any = None, headers: Any = None, **more: Any
) -> dict[str, Any]:
    """A document of one list, whose answer is an array unless told otherwise."""
    record = record or {"type": "object", "properties": {"a": {"type": "string"}}}
    schema = answer or {"type": "array", "items": record}
    good = {"content": {"application/json": {"schema": schema}}, "headers": headers or {}}
    operation = {"parameters": list(parameters), "responses": {"200": good}}
    return {"openapi": "3.1.0", "info": {"title": "T"}, "paths": {"/things": {"get": operation}}, **more}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"swagger": "2.0"}, "Swagger 2"),
        ({"openapi": "4.0.0"}, "version 4.0.0"),
        ([], "no OpenAPI document"),
        ({"openapi": "3.0.0"}, "no list that can be read"),
        (listing({"$ref": "https://evil.example/x.json"}), "redocly"),
        (listing({"$ref": "other.yaml#/X"}), "nothing is fetched"),
        (listing({"$ref": "#/components/none"}), "where nothing is"),
    ],
)
def test_documents_that_are_refused(wrong: Any, told: str) -> None:
    """What is no OpenAPI 3, has no list, or refers to what is not in it, is refused with the remedy."""
    with pytest.raises(ConfigurationError, match=told):
        generated(wrong)


@pytest.mark.parametrize("text", ["{", "\t: [", "[1, 2"])
def test_files_that_cannot_be_read(text: str) -> None:
    """What is neither JSON nor YAML is told as that."""
    with pytest.raises(ConfigurationError):
        Document.parsed(text)


def test_yaml() -> None:
    """Where PyYAML is installed, a document may be YAML; numbers as keys are statuses, too."""
    yaml = pytest.importorskip("yaml")
    text = yaml.safe_dump(document("shop")).replace("'200':", "200:")
    assert "PageNumber" in generated(Document.parsed(text))


def test_few_words_that_say_very_much() -> None:
    """A document whose schemas each refer twice to the next is no work without end."""
    schemas: dict[str, Any] = {
        f"S{n}": {"type": "object", "properties": {key: {"$ref": f"#/components/schemas/S{n + 1}"} for key in "ab"}}
        for n in range(40)
    }
    schemas |= {f"A{n}": {"allOf": [{"$ref": f"#/components/schemas/A{n + 1}"}] * 2} for n in range(40)}
    many = {**schemas, "S40": {"type": "string"}, "A40": {"type": "string"}}
    record = {
        "type": "object",
        "properties": {"s": {"$ref": "#/components/schemas/S0"}, "a": {"$ref": "#/components/schemas/A0"}},
    }
    assert "kept as JSON" in generated(listing(record, components={"schemas": many}))


def test_nesting_beyond_measure() -> None:
    """What is nested deeper than Python can follow is refused."""
    schema: Any = {"type": "string"}
    for _ in range(3000):
        schema = {"allOf": [schema]}
    with pytest.raises(ConfigurationError, match="nested too deep"):
        generated(listing({"properties": {"a": schema}}))


junk = st.sampled_from(
    [None, 0, -1, True, "", "x", [], {}, [None], {"x": None}, {"$ref": "#"}, {"$ref": "#/paths"}, 1e9]
)


@pytest.mark.filterwarnings("ignore::de_classes.api.PagesMayShift")
@given(st.sampled_from(NAMES), junk, st.data())
def test_whatever_is_wrong_in_a_document(name: str, wrong: Any, data: st.DataObject) -> None:
    """Whatever stands where something else should, a module comes out that can be imported, or a clear refusal."""
    node: Any = (whole := document(name))
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.integers(0, 5)) == 0:
            break
        node = node[key]
    node[key] = wrong
    try:
        source = generated(whole)
    except ConfigurationError:
        return
    assert imported(source).RESOURCES


# --- Types and guesses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "integer", "format": "int32"}, pa.int32()),
        ({"type": "integer"}, pa.int64()),
        ({"type": "number"}, pa.float64()),
        ({"type": "number", "multipleOf": 0.001}, pa.decimal128(38, 3)),
        ({"type": "string", "format": "date-time"}, pa.timestamp("us", "UTC")),
        ({"type": "string", "format": "date"}, pa.date32()),
        ({"type": "string", "format": "uuid"}, pa.uuid()),
        ({"type": "string", "format": ["odd"]}, pa.string()),
        ({"enum": ["a", "b"]}, pa.string()),
        ({"const": 3}, pa.int64()),
        ({"type": ["boolean", "null"]}, pa.bool_()),
        ({"type": ["string", "integer"]}, pa.json_()),
        ({}, pa.json_()),
        ({"type": "object"}, pa.json_()),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, pa.map_(pa.string(), pa.bool_())),
        ({"type": "array", "items": {"type": "boolean"}}, pa.list_(pa.bool_())),
        ({"type": "array"}, pa.list_(pa.json_())),
        ({"properties": {"x": {"type": "boolean"}}}, pa.struct([("x", pa.bool_())])),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, pa.string()),
        ({"oneOf": [{"type": "string"}, {"type": "boolean"}]}, pa.json_()),
        ({"allOf": [{"properties": {"x": {"type": "boolean"}}}, {"properties": {"y": {"const": "z"}}}]},
         pa.struct([("x", pa.bool_()), ("y", pa.string())])),
        ({"oneOf": [{"properties": {"x": {"const": 1}}}, {"properties": {"x": {"const": "1"}, "y": {"const": "z"}}}]},
         pa.struct([("x", pa.json_()), ("y", pa.string())])),
    ],
    ids=str,
)  # fmt: skip
def test_types(schema: Any, wanted: pa.DataType) -> None:
    """What a schema says is an Arrow type that loses nothing of it; what it leaves open is JSON."""
    source = generated(listing({"type": "object", "properties": {"a": schema}}))
    field = imported(source).RESOURCES[0].schema.field("a")
    assert field.type == wanted
    assert field.nullable


def test_what_is_always_there_is_not_null() -> None:
    """A field that is required is not null, unless the document says in one of its ways that it may be."""
    ways: dict[str, Any] = {
        "never": {"type": "string"},
        "nullable": {"type": "string", "nullable": True},
        "types": {"type": ["string", "null"]},
        "enum": {"enum": ["a", None]},
        "any": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "beside": {"$ref": "#/components/schemas/T", "nullable": True},
        "anything": {},
    }
    record = {"type": "object", "properties": ways, "required": [*ways]}
    module = imported(generated(listing(record, components={"schemas": {"T": {"type": "string"}}})))
    assert [field.name for field in module.RESOURCES[0].schema if not field.nullable] == ["never"]


ID: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer", "format": "int64"}},
}


def answer(**fields: Any) -> Any:
    return {"type": "object", "properties": {"data": {"type": "array", "items": ID}, **fields}}


def query(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer"}


@pytest.mark.parametrize(
    ("parameters", "fields", "headers", "wanted"),
    [
        ([query("page")], {}, {}, 'PageNumber(param="page")'),
        ([query("page"), query("per_page", maximum=50)], {"total_pages": WHOLE}, {},
         'PageNumber(param="page", per_page=50, per_page_param="per_page", total_pages_at="total_pages")'),
        ([query("skip"), query("take", default=20)], {"total": WHOLE}, {},
         'OffsetLimit(limit=20, limit_param="take", param="skip", total_at="total")'),
        ([query("offset")], {}, {}, None),
        ([query("cursor")], {"meta": {"type": "object", "properties": {"next_cursor": TEXT}}}, {},
         'CursorInBody(at="meta.next_cursor", param="cursor")'),
        ([query("cursor")], {}, {"X-Next-Cursor": {}}, 'CursorInHeader(header="x-next-cursor", param="cursor")'),
        ([query("starting_after"), query("limit", maximum=9000)], {"has_more": {"type": "boolean"}}, {},
         'Keyset(param="starting_after", key="id", limit=1000, limit_param="limit")'),
        ([query("page")], {"next": TEXT}, {}, 'NextLink(at="next")'),
        ([], {"_links": {"properties": {"next": {"properties": {"href": TEXT}}}}}, {},
         'NextLink(at="_links.next.href")'),
        ([query("page")], {}, {"Link": {}}, "LinkHeader()"),
        ([], {}, {}, None),
    ],
)  # fmt: skip
def test_pagings(parameters: Any, fields: Any, headers: Any, wanted: str | None) -> None:
    """How pages follow is seen from parameters, answers and headers; what is least likely to lose rows comes first."""
    source = generated(listing(None, parameters, answer=answer(**fields), headers=headers))
    assert imported(source).RESOURCES[0].name == "things"
    found = [line.strip() for line in source.splitlines() if line.strip().startswith("paging=")]
    assert found == ([f"paging={wanted},"] if wanted else [])


def test_a_list_whose_next_page_nobody_knows() -> None:
    """Where pages have a size and no way to the next one is known, that rows would be missing is said in the code."""
    assert "'limit', and no way to a next page is known: as it stands" in generated(listing(None, [query("limit")]))


def test_children() -> None:
    """A list under a record of another is its child, whatever the path calls the key; one further down is left out."""
    entry = listing(ID)["paths"]["/things"]
    paths = ["/a/{id}/things", "/a", "/b/{bId}/parts", "/b", "/a/{id}/things/{thingId}/parts", "/none/{id}/x"]
    source = generated({**listing(), "paths": dict.fromkeys(paths, entry)})
    by_path = {resource.path: resource for resource in imported(source).RESOURCES}
    assert list(by_path) == ["/a", "/b", "/a/{id}/things", "/b/{b_id}/parts"]
    assert by_path["/a/{id}/things"].parent.fields == {"id": "id"}
    assert by_path["/a/{id}/things"].primary_key == ("a_id", "id")
    assert by_path["/b/{b_id}/parts"].parent.include == {"b_id": "id"}
    left_out = [line.split()[3] for line in source.splitlines() if line.startswith("# - ")]
    assert left_out == [f"{path}:" for path in paths[4:]]


MOMENT = {"type": "string", "format": "date-time"}


@pytest.mark.parametrize(
    ("parameter", "fields", "wanted"),
    [
        (query("updated_since", **MOMENT), {"updated_at": MOMENT}, 'param="updated_since", field="updated_at"'),
        (query("modifiedAfter", **WHOLE), {"lastModified": MOMENT},
         'param="modifiedAfter", field="lastModified", format="unix"'),
        (query("created_from", type="string", format="date"), {"created": MOMENT},
         'param="created_from", field="created", format="iso_date"'),
        (query("updated_since"), {"created_at": MOMENT}, None),
        (query("updated_since"), {"updated_at": TEXT}, None),
    ],
)  # fmt: skip
def test_what_is_new(parameter: Any, fields: Any, wanted: str | None) -> None:
    """A parameter that asks for what is new is used where records have the moment that it goes by."""
    record = {**ID, "properties": {**ID["properties"], **fields}}
    source = generated(listing(record, [parameter]))
    imported(source)
    assert (f"incremental=Incremental({wanted}, inclusive=True)," in source) is (wanted is not None)
    assert ("incremental=" in source) is (wanted is not None)


SCHEMES = {
    "bearer": ({"type": "http", "scheme": "Bearer"}, "BearerToken(***)"),
    "basic": ({"type": "http", "scheme": "basic"}, "Basic('me', ***)"),
    "digest": ({"type": "http", "scheme": "digest"}, "Digest('me', ***)"),
    "key": ({"type": "apiKey", "in": "query", "name": "k"}, "ApiKey(***, name='k', place='query')"),
    "code": (
        {"type": "oauth2", "flows": {"authorizationCode": {"tokenUrl": "https://login.example/t"}}},
        "OAuth2RefreshToken('https://login.example/t', 'me', ***)",
    ),
    "openid": ({"type": "openIdConnect"}, "BearerToken(***)"),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_security_schemes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme is an auth, whose secrets stand in the environment."""
    scheme, told = SCHEMES[name]
    for variable in ("TOKEN", "USER", "PASSWORD", "API_KEY", "CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"):
        monkeypatch.setenv(f"T_{variable}", "me")
    secured = listing(components={"securitySchemes": {"s": scheme}}, security=[{"s": []}])
    assert repr(imported(generated(secured)).auth()) == told


def test_a_scheme_that_is_none_of_ours() -> None:
    """A scheme that is not known here is named, and nothing is made of it."""
    secured = listing(components={"securitySchemes": {"s": {"type": "mutualTLS"}}}, security=[{"s": []}])
    assert "# the security schemes 's' (mutualTLS, ) are none that is known here" in generated(secured)


@pytest.mark.parametrize("others", [True, {}, {"type": "string"}])
def test_records_that_may_have_other_fields(others: Any) -> None:
    """Where the document lets records have fields that it does not name, they become columns."""
    source = generated(listing({"properties": {"a": TEXT}, "additionalProperties": others}))
    assert imported(source).RESOURCES[0].schema_changes == "evolve"


def test_names_are_unique_and_none_is_taken() -> None:
    """Lists of one name are told apart by their paths, and none takes a name of the module."""
    paths = ["/resources", "/base-url", "/a/things", "/b/things", "/b-things", "/3", "/v1/", "/ä", "/ö"]
    entry = listing()["paths"]["/things"]
    module = imported(generated({**listing(), "paths": dict.fromkeys(paths, entry)}))
    names = [resource.name for resource in module.RESOURCES]
    assert names[:5] == ["resources", "base_url", "a_things", "b_things", "b_things_2"]
    assert names[5:] == ["records_3", "records", "records_2", "records_4"]
    assert [resource.path for resource in module.RESOURCES] == paths


# --- Text that wants to be code ---------------------------------------------------------------------------------------

NODES = (
    *(ast.Module, ast.Expr, ast.Constant, ast.Import, ast.ImportFrom, ast.alias, ast.Assign, ast.Name, ast.Load),
    *(ast.Store, ast.Call, ast.keyword, ast.Attribute, ast.List, ast.Tuple, ast.Dict, ast.Subscript, ast.Return),
    *(ast.FunctionDef, ast.arguments, ast.arg),
)  # fmt: skip
KNOWN = {"pa", "os", "Resource", "PageNumber", "ApiSource", "ApiClient", "ApiKey", "Secret", "auth", "base_url", "str"}
hostile = st.text(max_size=12) | st.sampled_from(
    [
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        '\\"',
        "\n",
        "\r",
        "\u2028",
        "\x00",
        "#",
        "\nimport os\n",
        '")\nx = 1 #',
        "{x}",
        "\ud800",
    ]
)


@given(st.lists(hostile, min_size=8, max_size=8, unique=True), hostile)
@example(['"""', "\\", "'", '"', "\n", "\nimport os; os.abort()", "{", "}"], '"""\nraise SystemExit')
def test_no_text_becomes_code(texts: list[str], title: str) -> None:
    """Whatever names, titles and values hold, they are literals and comments, and literals hold it to the letter."""
    one, two, page, size, summary, path, value, key = texts
    record = {"type": "object", "properties": {one: {"type": "string", "description": two}, two: {"enum": [one, two]}}}
    parameters = [query("page"), {**query(size, enum=[value]), "required": True}, query(page)]
    content = listing(
        record,
        parameters,
        servers=[{"url": f"https://x.example/{value}"}],
        components={"securitySchemes": {one: {"type": "apiKey", "in": "header", "name": key}}},
        security=[{one: [two]}],
    )
    content["info"]["title"] = title
    plain = path.replace("{", "").replace("}", "")
    operation = content["paths"].pop("/things")
    operation["get"]["summary"] = summary
    content["paths"][f"/{plain}"] = operation
    tree = ast.parse(generated(content))
    nodes = list(ast.walk(tree))
    assert {type(node) for node in nodes} <= set(NODES)
    assigned = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    own = {node.id for node in assigned if isinstance(node, ast.Name)}
    assert len(tree.body) == 1 + len(own) + sum(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body) + 2
    assert {node.id for node in nodes if isinstance(node, ast.Name)} <= KNOWN | own
    literals = {node.value for node in nodes if isinstance(node, ast.Constant)}
    assert {one, two, f"/{plain}", key} <= literals
