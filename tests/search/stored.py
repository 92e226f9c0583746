"""A small world of stored resources for search tests: rows put in with plain inserts, read through a plain view."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import Subquery, and_, bindparam, insert, literal, select

from fhir_server.fhir.definitions import Definitions, load, type_number
from fhir_server.fhir.folders import data_folder
from fhir_server.search import run as running
from fhir_server.search.extract import Extractor, IndexRows, inside, parameters
from fhir_server.search.run import Page, Searcher
from fhir_server.store.db import Database, open_database
from fhir_server.store.hashing import rh
from fhir_server.store.tables import comp, contained, dat, geo, num, qty, ref, res, string, tok, uri
from fhir_server.store.tables.full_text import words
from fhir_server.terminology.codes import Terminology

BASE = "https://here.example/fhir"
SECRET = b"for tests"
DEFINITIONS: Definitions = load()
PARAMS: Mapping[tuple[str, str], int] = {pair: number for number, pair in enumerate(parameters(DEFINITIONS), start=1)}

Resource = dict[str, Any]


def _concept(code, *concepts):
    return {"code": code, "concept": list(concepts)} if concepts else {"code": code}


def _value_set(name, *include):
    return {"resourceType": "ValueSet", "url": f"http://v.example/{name}", "compose": {"include": list(include)}}


ICD = "http://hl7.org/fhir/sid/icd-10-cm"
TERMS = [
    {
        "resourceType": "CodeSystem",
        "url": "http://a.example",
        "content": "complete",
        "concept": [_concept("top", _concept("one", _concept("two")), _concept("a,b")), _concept("a|b")],
    },
    _value_set("listed", {"system": "http://a.example", "concept": [{"code": "one"}, {"code": "a,b"}]}),
    _value_set("whole", {"system": "http://a.example"}, {"system": "urn:oid:1.2.3", "concept": [{"code": "One"}]}),
    _value_set("open", {"system": "http://b.example"}),
    _value_set("many", {"system": "x", "concept": [{"code": str(number)} for number in range(501)]}),
    _value_set("statuses", {"system": "http://hl7.org/fhir/task-status", "concept": [{"code": "draft"}]}),
    _value_set("opioids", {"system": ICD, "filter": [{"property": "concept", "op": "is-a", "value": "F11"}]}),
    _value_set("nothing", {"system": "http://a.example", "concept": []}),
]
CODES = Terminology(Definitions(data_folder("profiles") / "r4-core", TERMS))
LISTS = {
    "tok": tok,
    "string": string,
    "dat": dat,
    "ref": ref,
    "uri": uri,
    "num": num,
    "qty": qty,
    "comp": comp,
    "geo": geo,
}


class Everything:
    """A view of all rows but those of one owner, bound by value as the real predicate is."""

    def __init__(self, hidden: int = -1) -> None:
        self.shape = "everything but one owner"
        self.binds: Mapping[str, Any] = {"v_hidden": hidden}

    def __call__(self, alias: str, *, of: str | None = None) -> Subquery:
        row = res.alias(f"{alias}_row")
        seen = select(row).where(row.c.owner != bindparam("v_hidden"), row.c.view == 0)
        if of is not None:
            seen = seen.where(row.c.type == type_number(of))
        return seen.subquery(alias)

    def contained(self, alias: str, of: str) -> Subquery:
        inner, row = contained.alias(f"{alias}_inner"), res.alias(f"{alias}_row")
        own = {"rid": inner.c.rid, "type": inner.c.type, "fid": inner.c.fid, "view": literal(2), "rh": literal(0)}
        columns = [own.get(column.name, column).label(column.name) for column in row.c]
        held = inner.join(row, and_(row.c.rid == inner.c.holder, row.c.part == inner.c.part))
        seen = select(*columns, inner.c.holder).select_from(held).where(inner.c.type == type_number(of))
        return seen.where(row.c.owner != bindparam("v_hidden"), row.c.view == 0).subquery(alias)

    def history(self, alias: str, of: str | None = None) -> Subquery:
        raise NotImplementedError


def extractor() -> Extractor:
    return Extractor(DEFINITIONS, PARAMS, base=BASE)


def searcher() -> Searcher:
    return Searcher(DEFINITIONS, PARAMS, secret=SECRET, base=BASE, terminology=CODES)


@dataclass
class World:
    """What is stored, and what it can be asked."""

    database: Database
    resources: dict[int, Resource] = field(default_factory=dict)
    stored: int = 0
    searcher: Searcher = field(default_factory=searcher)
    extractor: Extractor = field(default_factory=extractor)

    def store(self, resources: Iterable[Resource], *owners: int, owner: int = 1, deleted: bool = False) -> list[int]:
        """Store resources, of one owner or of several in turn; the row numbers grow in their order."""
        owners = owners or (owner,)
        rows = {table: [] for table in (res, contained, *LISTS.values(), words)}
        rids = []
        for resource in resources:
            rid = self._number(resource)
            rows[res].append(_row(rid, resource, owners[self.stored % len(owners)], deleted))
            self.stored += 1
            rids.append(rid)
            if not deleted:
                self._index(rows, rid, rid % 7, resource)
                self._contain(rows, rid, resource)

        def work(connection):
            for table, values in rows.items():
                if values:
                    connection.execute(insert(table), values)

        self.database.write(work)
        return rids

    def _number(self, resource: Resource) -> int:
        rid = 1000 + 2 * len(self.resources)
        self.resources[rid] = resource
        return rid

    def _contain(self, rows, holder: int, resource: Resource) -> None:
        for inner in resource.get("contained", ()):
            rid, number = self._number(inner), type_number(inner["resourceType"])
            place = {"tenant": 1, "part": holder % 7, "rid": rid, "holder": holder, "gen": 0}
            rows[contained].append({**place, "type": number, "fid": inner["id"]})
            self._place(rows, rid, holder % 7, inside(self.extractor.rows(inner["resourceType"], inner)))

    def _index(self, rows, rid: int, part: int, resource: Resource) -> None:
        self._place(rows, rid, part, self.extractor.rows(resource["resourceType"], resource))

    def _place(self, rows, rid: int, part: int, found: IndexRows) -> None:
        place = {"tenant": 1, "part": part, "rid": rid}
        rows[words] += [
            {"rowid": rid, "tenant": 1, "part": part, "narrative": text, "content": whole}
            for text, whole in found.words
        ]
        for name, table in LISTS.items():
            columns = [column.name for column in table.columns][4:]
            for values in getattr(found, name):
                rows[table].append({**place, "param": values[0], **dict(zip(columns, values[1:], strict=True))})

    def page(self, kind: str, pairs: Sequence[tuple[str, str]], hidden: int = -1, within: str = "", **how: Any) -> Page:
        query = self.searcher.parse(kind, pairs, within=within)
        return self.searcher.search(self.database.read(), query, Everything(hidden), **how)

    def pages(self, kind: str, pairs: Sequence[tuple[str, str]], hidden: int = -1, within: str = "") -> list[Page]:
        """Every page of a search, fetched one after the other by its token."""
        pages = [self.page(kind, pairs, hidden, within, identity="reader", now_ms=1)]
        while token := pages[-1].next_token:
            pages.append(self.follow(token, hidden))
        return pages

    def back(self, page: Page, hidden: int = -1) -> list[Page]:
        """Every page before this one, the nearest first."""
        pages = [page]
        while token := pages[-1].prev_token:
            pages.append(self.follow(token, hidden))
        return pages[1:]

    def follow(self, token: str, hidden: int = -1) -> Page:
        """The page that a token offers."""
        query = self.searcher.resume(token, "reader", 2)
        return self.searcher.search(self.database.read(), query, Everything(hidden), identity="reader", now_ms=2)

    def ids(self, kind: str, text: str = "", hidden: int = -1, within: str = "") -> list[str]:
        """The ids found by `name=value&name=value`, in order."""
        pairs = [tuple(pair.split("=", 1)) for pair in text.split("&") if pair]
        return [hit.fid for hit in self.page(kind, [*pairs, ("_count", "200")], hidden, within).hits]


def _row(rid: int, resource: Resource, owner: int, deleted: bool) -> dict[str, Any]:
    kind, fid = resource["resourceType"], resource["id"]
    return {
        "tenant": 1,
        "part": rid % 7,
        "rid": rid,
        "type": type_number(kind),
        "fid": fid,
        "view": 0,
        "rh": rh(f"{kind}/{fid}"),
        "ver": 1,
        "ts": updated(rid),
        "deleted": deleted,
        "owner": owner,
        "patient": None,
        "labels": 0,
        "gen": 0,
        "enc": 0,
        "body": json.dumps(resource).encode(),
    }


def updated(rid: int) -> int:
    """When a row was last updated: not in the order of creation."""
    return 1_767_225_600_000 + (rid * 7919) % 1_000_003


@contextmanager
def holding(url: str, resources: list[Resource], *owners: int) -> Iterator[World]:
    """A world over a fresh database with these resources in it, the owners taking turns."""
    with closing(open_database(url)) as database:
        made = World(database)
        made.store(resources, *owners)
        yield made


@contextmanager
def planning(world: World, bound: int, long: int = 100) -> Iterator[World]:
    """The world with lists walked from so many rows, and begun at their newest from so many: the plans of a big
    database run on a small one.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "BOUND", bound)
        patch.setattr(running, "FAR", 3 * bound)
        if not long:
            patch.setattr(running, "_LONG", 0)
            patch.setattr(running, "_AHEAD", 1)
            patch.setattr(running, "_SIZES", tuple(range(2, running.LARGEST_PAGE + 2)))
        yield replace(world, searcher=searcher())
