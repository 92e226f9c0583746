"""How searches reach the database: few statements, compiled once, every resource row seen through the caller's view."""

import re
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import select

from fhir_server.search import run as running
from fhir_server.search.frame import Frame
from fhir_server.store import statements
from fhir_server.store.db import open_database
from fhir_server.store.tables import res
from tests.search.stored import PARAMS, Everything, World, searcher

HIDDEN = 99


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        coding = [{"system": "x", "code": "c"}, {"system": "y", "code": "c"}, {"code": "c"}]
        for owner, names in ((1, ("a", "b")), (HIDDEN, ("secret",))):
            for name in names:
                subject = {"reference": f"Patient/{name}"}
                patient = {"resourceType": "Patient", "id": name, "gender": "male", "name": [{"family": f"Fam {name}"}]}
                plan = {"resourceType": "CarePlan", "id": f"c{name}", "status": "active", "subject": subject}
                made.store([patient, plan | {"category": [{"coding": coding}]}], owner)
        made.store(
            [{"resourceType": "CarePlan", "id": "open", "status": "active", "subject": {"reference": "Patient/secret"}}]
        )
        made.store([{"resourceType": "Patient", "id": "gone", "gender": "male"}], deleted=True)
        inner = {"resourceType": "Patient", "id": "in", "gender": "other", "name": [{"family": "Fam in"}]}
        holder = {"resourceType": "Basic", "id": "holder", "contained": [inner]}
        made.store([holder, {"resourceType": "Basic", "id": "empty"}])
        made.store([holder | {"id": "hidden"}], HIDDEN)
        yield made


@pytest.fixture
def sent(monkeypatch):
    """The statements a test sends."""
    texts, original = [], statements.run
    monkeypatch.setattr(statements, "run", lambda c, sql, values: texts.append(sql) or original(c, sql, values))
    return texts


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("Patient", "", 1),
        ("Patient", "gender=male", 1),
        ("Patient", "identifier=s|v", 1),
        ("Patient", "_id=a", 1),
        ("CarePlan", "patient=a", 1),
        ("Patient", "_lastUpdated=ge2020", 1),
        ("Patient", "_profile=http://p", 1),
        ("Patient", "gender=male&name=fam", 2),
        ("CarePlan", "subject:Patient.name=fam", 2),
        ("Patient", "gender=male&_include=Patient:organization&_revinclude=CarePlan:patient", 3),
        ("Patient", "gender=male&_include=*&_revinclude=*", 3),
        ("Patient", "birthdate=ge2020-01-01&birthdate=lt2021-01-01", 2),
        ("Patient", "_filter=gender eq male", 1),
        ("Patient", "_content=fam", 2),
        ("Location", "near=34|-118", 2),
        ("CarePlan", "_sort=subject:Patient.family", 1),
        ("", "_type=Patient,CarePlan", 1),
        ("", "_tag=a", 2),
        ("Patient", "_contained=true", 2),
        ("Patient", "_contained=both&_sort=_lastUpdated", 2),
        ("Patient", "_contained=both&gender=other&name=fam&_containedType=contained", 3),
    ],
)
def test_statements_per_search(world, sent, kind, text, expected):
    """A simple search is one statement; a choice between lists costs one more, includes one per level and direction."""
    world.ids(kind, text, HIDDEN)
    assert len(sent) == expected


def test_compiled_once(world):
    """Another value of the same question builds no SQL."""
    world.ids("Patient", "family:exact=one")
    kept = len(world.searcher._statements)
    world.ids("Patient", "family:exact=two", HIDDEN)
    assert len(world.searcher._statements) == kept


QUESTIONS = [
    ("Patient", "gender=male"),
    ("Patient", "gender=male,female&name:contains=fam"),
    ("Patient", "gender:not=female"),
    ("CarePlan", "subject:Patient.name=fam"),
    ("CarePlan", "subject:Patient.name:missing=false&status=active"),
    ("Patient", "_has:CarePlan:subject:status=active"),
    ("Patient", "_has:CarePlan:subject:status=active&gender=male&_sort=family"),
    ("Patient", "gender=male&_summary=count"),
    ("CarePlan", "_include=CarePlan:subject&_revinclude=CarePlan:subject"),
    ("CarePlan", "_sort=-subject:Patient.family,status"),
    ("Patient", "_content=fam or male"),
    ("Patient", "_filter=gender eq male and (name co a or not (active pr true))"),
    ("", "_type=Patient,CarePlan&_sort=-_lastUpdated"),
    ("", "_id=a"),
]
AMONG = [
    ("Patient", "_contained=true"),
    ("Patient", "_contained=true&_containedType=contained"),
    ("Patient", "_contained=true&gender=other&_containedType=contained&_sort=family"),
    ("Patient", "_contained=true&gender=other&name=fam&_sort=-_lastUpdated"),
    ("Patient", "_contained=both&gender=other"),
    ("Patient", "_contained=both&_containedType=contained&gender:not=male&_summary=count"),
    ("Patient", "_contained=both&_id=in"),
    ("CarePlan", "_contained=both&subject:Patient.name=fam"),
]
PLANNED = [(*one, 2000) for one in QUESTIONS] + [(*one, bound) for one in AMONG for bound in (2000, 1)]  # few, or many


@pytest.mark.parametrize(("kind", "text", "bound"), PLANNED)
def test_every_alias_is_seen_through_the_view(world, sent, monkeypatch, kind, text, bound):
    """Trap 12, B-42: the resource table stands in no statement outside the caller's view, by whichever plan."""
    monkeypatch.setattr(running, "BOUND", bound)
    replace(world, searcher=searcher()).ids(kind, text, HIDDEN)
    for sql in sent:
        named = len(re.findall(r"\b(?:FROM|JOIN)\s+res\b", sql))
        seen = re.findall(r"FROM res AS (r\d+_row) \nWHERE \1\.owner !=", sql)
        held = re.findall(r"JOIN res AS (r\d+_row) ON \1\.rid = [^\n]*\nWHERE [^\n]* AND \1\.owner !=", sql)
        assert named == len(seen) + len(held)
    assert any("res AS" in sql for sql in sent)


def test_a_resource_alias_needs_a_view():
    """Fail closed: without a caller nothing can be compiled."""
    with pytest.raises(TypeError):
        Frame("sqlite", None, PARAMS).resource("Patient")


def test_hidden_resources_neither_match_nor_carry_a_chain(world):
    """B-42: authorization holds on the intermediate resources."""
    assert world.ids("CarePlan", "subject:Patient.name=fam", HIDDEN) == ["cb", "ca"]
    assert world.ids("CarePlan", "subject:Patient.name=fam") == ["open", "csecret", "cb", "ca"]
    assert world.ids("CarePlan", "patient=secret", HIDDEN) == ["open"]
    assert world.ids("Patient", "_has:CarePlan:subject:status=active", HIDDEN) == ["b", "a"]
    assert world.page("CarePlan", [("status", "active"), ("_summary", "count")], HIDDEN).total == 3


def test_deleted_resources_never_match(world):
    """B-52."""
    assert "gone" not in world.ids("Patient")
    assert world.ids("Patient", "_id=gone") == []


def test_a_code_under_several_systems_counts_once(world):
    """B-32: `code` finds it in any system, and the resource once."""
    assert world.ids("CarePlan", "category=c", HIDDEN) == ["cb", "ca"]
    assert world.ids("CarePlan", "category=c,x|c,y|", HIDDEN) == ["cb", "ca"]
    assert world.page("CarePlan", [("category", "c"), ("_summary", "count")], HIDDEN).total == 2
    assert world.ids("CarePlan", "category=|c", HIDDEN) == ["cb", "ca"]
    assert world.ids("CarePlan", "category=z|c", HIDDEN) == []


def test_match_for_conditional_interactions(world):
    """B-54: two are enough to know that there are many."""
    query = world.searcher.parse("Patient", [("gender", "male")])
    found = world.searcher.match(world.database.read(), query, Everything(HIDDEN))
    assert [hit.fid for hit in found] == ["b", "a"]
    assert found[0].body.startswith(b'{"resourceType": "Patient"')
    assert len(world.searcher.match(world.database.read(), query, Everything(HIDDEN), limit=1)) == 1


def test_hits_carry_the_row(world):
    hit = world.page("Patient", [("_id", "a")]).hits[0]
    row = world.database.read().execute(select(res).where(res.c.rid == hit.rid)).one()
    names = {"type_number": "type"}
    assert all(value == getattr(row, names.get(name, name)) for name, value in hit._asdict().items())


@pytest.mark.parametrize(
    ("kind", "text", "bound"), [*PLANNED, ("Patient", "identifier=s|v", 2000), ("Patient", "_id=a", 2000)]
)
def test_sqlite_reads_no_table_whole(world, monkeypatch, kind, text, bound):
    """Without statistics SQLite must still find every row by an index."""
    monkeypatch.setattr(running, "BOUND", bound)
    if world.database.dialect != "sqlite":
        pytest.skip("a question to SQLite")
    plans, original = [], statements.run

    def explain(connection, sql, values):
        plans.extend(row[3] for row in original(connection, f"EXPLAIN QUERY PLAN {sql}", values))
        return original(connection, sql, values)

    monkeypatch.setattr(statements, "run", explain)
    replace(world, searcher=searcher()).ids(kind, text)
    assert plans
    assert [
        step
        for step in plans
        if re.match(r"SCAN (r\d+_row|r\d+_inner|contained_\d+|\w+_\d+ |tok|ref|str|dat|uri)", step)
        and "anon" not in step
    ] == []
    assert [step for step in plans if re.search(r"ref_\d+ USING PRIMARY KEY \(param=\?\)$", step)] == []
