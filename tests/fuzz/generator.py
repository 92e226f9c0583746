"""Hostile requests without end: every interaction, parameter and header, well-formed, nearly so, and not at all."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from fhir_server.fhir.definitions import Definitions
from tests.fuzz.mutation import bent, damaged, dumped, some_text, some_value

MODIFIERS = (
    "",
    "",
    "",
    ":exact",
    ":contains",
    ":missing",
    ":not",
    ":in",
    ":not-in",
    ":above",
    ":below",
    ":text",
    ":of-type",
    ":identifier",
    ":Patient",
    ":iterate",
    ":nonsense",
    ":",
    "::",
)
RESULT = (
    "_sort",
    "_count",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_page",
    "_format",
    "_pretty",
    "_filter",
    "_text",
    "_content",
    "_list",
    "_contained",
    "_type",
    "_id",
    "_lastUpdated",
    "_tag",
    "_profile",
    "_security",
    "_since",
    "_query",
    "near",
)
HEADERS: dict[str, Sequence[str]] = {
    "Accept": (
        "application/fhir+json",
        "application/json",
        "*/*",
        "text/html",
        "application/fhir+xml",
        "x",
        "application/fhir+json;q=2",
    ),
    "If-Match": ('W/"1"', '"1"', "1", 'W/"x"', 'W/"-1"', 'W/"99999999999999999999"', "*"),
    "If-None-Match": ('W/"1"', "*", "x"),
    "If-None-Exist": ("identifier=a|b", "identifier=", "_id=x", "nonsense=1", "?", "identifier=a%zz", "name=a&name=b"),
    "If-Modified-Since": ("Sun, 22 Nov 2026 10:00:00 GMT", "yesterday", ""),
    "Prefer": (
        "return=minimal",
        "return=OperationOutcome",
        "handling=strict",
        "handling=lenient",
        "respond-async",
        "return=",
        ";;",
    ),
    "Content-Encoding": ("gzip", "br", "identity", "deflate"),
    "Idempotency-Key": ("k1", "k2", "", "x" * 300, "é"),
    "X-Request-Id": ("abc", "x" * 200, "é"),
    "Origin": ("https://app.example.org", "null"),
}
BODY_TYPES = (
    "application/fhir+json",
    "application/json",
    "application/json-patch+json",
    "application/fhir+xml",
    "text/csv",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "",
    "application/fhir+json; charset=latin-1",
)
PATCHES = ("add", "remove", "replace", "move", "copy", "test", "spring")


class Sent(NamedTuple):
    """One request: `path` is raw and starts with a slash."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Generator:
    """Requests of one seed; `known` are references that exist, and `models` resources that are valid."""

    definitions: Definitions
    models: Sequence[dict[str, Any]]
    operations: Sequence[str]
    chance: random.Random
    known: list[str] = field(default_factory=list)

    def next(self) -> Sent:
        """The next request."""
        made = self.chance.choice(_KINDS)(self)
        if self.chance.random() < 0.3:
            name = self.chance.choice(list(HEADERS))
            made.headers.setdefault(name, self.chance.choice(HEADERS[name]).encode().decode("latin-1"))
        return made

    def type(self) -> str:
        """A resource type, sometimes none."""
        if self.chance.random() < 0.05:
            return self.path_text()
        some = ("Patient", "Task", "ServiceRequest", "CarePlan", "Group", "Consent", "CareTeam", "Goal", "Organization")
        return self.chance.choice(some if self.chance.random() < 0.6 else self.definitions.types)

    def place(self) -> str:
        """A reference that exists, or none such."""
        if self.known and self.chance.random() < 0.7:
            return self.chance.choice(self.known)
        return f"{self.type()}/{self.path_text() or 'x'}"

    def path_text(self) -> str:
        """Text for a step of a path, encoded or broken."""
        text = some_text(self.chance)
        return quote(text.encode("utf-8", "replace"), safe="%" if self.chance.random() < 0.2 else "")

    def resource(self) -> dict[str, Any]:
        """A valid resource or a bent one."""
        model = self.chance.choice(self.models)
        return bent(model, self.chance) if self.chance.random() < 0.8 else model

    def body(self, value: Any) -> bytes:
        """JSON of a value, sometimes damaged."""
        text = dumped(value)
        return damaged(text, self.chance) if self.chance.random() < 0.2 else text


def _typed(generator: Generator, usual: str = "application/fhir+json") -> dict[str, str]:
    chance = generator.chance
    return {"Content-Type": chance.choice(BODY_TYPES) if chance.random() < 0.1 else usual}


def _get(generator: Generator) -> Sent:
    tails = (
        "",
        "",
        "/_history",
        "/_history/1",
        "/_history/99",
        "/_history/x",
        "/*",
        "/Task",
        "/" + generator.path_text(),
    )
    method = generator.chance.choice(("GET", "GET", "GET", "HEAD", "OPTIONS", "TRACE", "PURGE"))
    return Sent(
        method, f"/{generator.place()}{generator.chance.choice(tails)}?{_query(generator, 1)}".rstrip("?"), {}, b""
    )


def _parameter(generator: Generator) -> str:
    chance = generator.chance
    type_ = generator.type()
    codes = list(generator.definitions.search_params(type_)) if type_ in generator.definitions.types else ["x"]
    name = chance.choice(RESULT) if chance.random() < 0.4 else chance.choice(codes)
    if chance.random() < 0.15:
        name = (
            f"{name}.{chance.choice(codes)}" if chance.random() < 0.5 else f"_has:{type_}:{name}:{chance.choice(codes)}"
        )
    return name + chance.choice(MODIFIERS)


def _value(generator: Generator) -> str:
    chance = generator.chance
    if chance.random() < 0.3 and generator.known:
        return chance.choice(generator.known)
    plain = (
        "active",
        "1980-01-01",
        "ge2024-01-01",
        "http://loinc.org|1",
        "5.4|http://unitsofmeasure.org|mg",
        "true",
        "50",
        "Task:owner",
        "Patient:*",
        "*",
        "-_lastUpdated,_id",
        "status eq active",
        "34.05|-118.24|10|km",
    )
    return chance.choice(plain) if chance.random() < 0.6 else some_text(chance)


def _query(generator: Generator, most: int = 4) -> str:
    pairs = [(_parameter(generator), _value(generator)) for _ in range(generator.chance.randint(0, most))]
    safe = "%" if generator.chance.random() < 0.1 else ""
    return "&".join(
        f"{quote(name, safe=':.')}={quote(value.encode('utf-8', 'replace'), safe=safe)}" for name, value in pairs
    )


def _search(generator: Generator) -> Sent:
    if generator.chance.random() < 0.3:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return Sent("POST", f"/{generator.type()}/_search", form, generator.body(0) + _query(generator).encode())
    return Sent("GET", f"/{generator.type()}?{_query(generator)}", {}, b"")


def _create(generator: Generator) -> Sent:
    made = generator.resource()
    type_ = made.get("resourceType") if generator.chance.random() < 0.9 else generator.type()
    path = type_ if isinstance(type_, str) and type_.isalpha() and type_.isascii() else "Patient"
    return Sent("POST", f"/{path}", _typed(generator), generator.body(made))


def _update(generator: Generator) -> Sent:
    made, place = generator.resource(), generator.place()
    if generator.chance.random() < 0.8:
        made = {**made, "id": place.rpartition("/")[2], "resourceType": place.partition("/")[0]}
    headers = _typed(generator) | {"If-Match": 'W/"1"'}
    if generator.chance.random() < 0.2:
        place = f"{place.partition('/')[0]}?{_query(generator, 2)}"
    return Sent("PUT", f"/{place}", headers, generator.body(made))


def _patch(generator: Generator) -> Sent:
    chance = generator.chance
    paths = (
        "/status",
        "/name/0/family",
        "/meta/tag/-",
        "/extension/0",
        "",
        "/",
        "/id",
        "/resourceType",
        "/a~2b",
        "/" + some_text(chance),
    )
    steps = [
        {
            "op": chance.choice(PATCHES),
            "path": chance.choice(paths),
            "value": some_value(chance),
            "from": chance.choice(paths),
        }
        for _ in range(chance.randint(0, 3))
    ]
    value: Any = steps if chance.random() < 0.8 else generator.resource()
    headers = _typed(generator, "application/json-patch+json") | {"If-Match": 'W/"1"'}
    return Sent("PATCH", f"/{generator.place()}", headers, generator.body(value))


def _delete(generator: Generator) -> Sent:
    place = generator.place() if generator.chance.random() < 0.5 else f"{generator.type()}?{_query(generator, 2)}"
    return Sent("DELETE", f"/{place}", {}, b"")


def _entry(generator: Generator) -> dict[str, Any]:
    chance = generator.chance
    inner = chance.choice((_get, _search, _create, _update, _patch, _delete))(generator)
    entry: dict[str, Any] = {"request": {"method": inner.method, "url": inner.path.lstrip("/")}}
    if inner.method in {"POST", "PUT", "PATCH"}:
        entry["resource"] = generator.resource()
        entry["fullUrl"] = f"urn:uuid:00000000-0000-4000-8000-{chance.randrange(3):012d}"
    if chance.random() < 0.2:
        entry["request"]["ifMatch"] = some_text(chance)
    return entry


def _bundle(generator: Generator) -> Sent:
    kind = generator.chance.choice(("batch", "transaction", "transaction", "collection", some_text(generator.chance)))
    value = {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [_entry(generator) for _ in range(generator.chance.randint(0, 5))],
    }
    made = bent(value, generator.chance) if generator.chance.random() < 0.3 else value
    return Sent("POST", "/", _typed(generator), generator.body(made))


def _operation(generator: Generator) -> Sent:
    chance = generator.chance
    name = chance.choice(generator.operations) if chance.random() < 0.9 else generator.path_text()
    where = chance.choice(("", f"/{generator.type()}", f"/{generator.place()}"))
    if chance.random() < 0.5:
        return Sent("GET", f"{where}/${name}?{_query(generator)}", {}, b"")
    parameter = {
        "name": chance.choice(("resource", "mode", "code", "system", "url", "period", some_text(chance))),
        "valueString": "x",
    }
    value = {
        "resourceType": "Parameters",
        "parameter": [parameter, {"name": "resource", "resource": generator.resource()}],
    }
    made = chance.choice((value, bent(value, chance), generator.resource()))
    return Sent("POST", f"{where}/${name}?{_query(generator, 1)}", _typed(generator), generator.body(made))


_KINDS: tuple[Callable[[Generator], Sent], ...] = (
    _get,
    _search,
    _search,
    _search,
    _create,
    _create,
    _update,
    _patch,
    _delete,
    _bundle,
    _bundle,
    _operation,
)
