"""Resources that go along with a page (B-43)."""

from contextlib import closing

import pytest

from fhir_server.fhir.errors import TooCostly
from fhir_server.search import include
from fhir_server.store.db import open_database
from tests.search.stored import World

HIDDEN = 99


def task(fid, **more):
    return {"resourceType": "Task", "id": fid, "status": "draft", "intent": "order", **more}


def to(reference):
    return {"reference": reference}


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store([{"resourceType": "Patient", "id": "p1"}, {"resourceType": "Patient", "id": "p2"}])
        made.store([{"resourceType": "Patient", "id": "secret"}], owner=HIDDEN)
        made.store([{"resourceType": "Patient", "id": "gone"}], deleted=True)
        made.store(
            [
                {"resourceType": "CarePlan", "id": "c1", "status": "active", "subject": to("Patient/p1")},
                task("t1", **{"for": to("Patient/p1")}, focus=to("CarePlan/c1"), partOf=[to("Task/t3")]),
                task("t2", **{"for": to("Patient/p1")}, focus=to("Patient/p2"), partOf=[to("Task/t1")]),
                task("t3", **{"for": to("Patient/secret")}, focus=to("Patient/gone"), partOf=[to("Task/t2")]),
            ]
        )
        yield made


def along(world, kind, *pairs):
    page = world.page(kind, [tuple(pair.split("=", 1)) for pair in pairs], HIDDEN)
    assert not {hit.rid for hit in page.hits} & {hit.rid for hit in page.included}
    assert len({hit.rid for hit in page.included}) == len(page.included)
    return sorted(hit.fid for hit in page.included)


@pytest.mark.parametrize(
    ("kind", "pairs", "expected"),
    [
        ("Task", ["_id=t1", "_include=Task:patient"], ["p1"]),
        ("Task", ["_include=Task:patient"], ["p1"]),  # once, though two Tasks refer to it; what is hidden stays so
        ("Task", ["_include=Task:focus"], ["c1", "p2"]),  # deleted ones do not come
        ("Task", ["_include=Task:focus:CarePlan"], ["c1"]),
        ("Task", ["_include=Task:focus:CarePlan", "_include=Task:subject:Patient"], ["c1", "p1"]),
        ("Task", ["_id=t1", "_include=Task:part-of"], ["t3"]),
        ("Task", ["_id=t1", "_include:iterate=Task:part-of"], ["t2", "t3"]),  # a cycle ends
        ("Task", ["_id=t1", "_include=Task:focus", "_include=CarePlan:subject"], ["c1"]),
        ("Task", ["_id=t1", "_include=Task:focus", "_include:iterate=CarePlan:subject"], ["c1", "p1"]),
        ("Patient", ["_id=p1", "_revinclude=Task:patient"], ["t1", "t2"]),
        ("Patient", ["_id=p1", "_revinclude=CarePlan:subject", "_revinclude:iterate=Task:focus"], ["c1", "t1"]),
        ("Patient", ["_id=p1", "_revinclude=Task:patient", "_include:iterate=Task:focus"], ["c1", "p2", "t1", "t2"]),
        ("Task", ["_id=nobody", "_include=Task:focus"], []),
    ],
)
def test_included(world, kind, pairs, expected):
    """B-43: forwards, backwards, by target type, iterated; each once, none of the page, none that is hidden or gone."""
    assert along(world, kind, *pairs) == expected


def test_only_the_page_is_expanded_and_total_counts_matches(world):
    """B-43, B-45: includes are not counted, and the next page brings its own."""
    pages = world.pages("Task", [("_count", "1"), ("_include", "Task:focus"), ("_total", "accurate")], HIDDEN)
    assert [[hit.fid for hit in page.included] for page in pages] == [[], ["p2"], ["c1"]]
    assert [page.total for page in pages] == [3, 3, 3]


def test_one_statement_per_level_and_direction(world, monkeypatch):
    """No statement per row."""
    asked = []
    original = include._ask
    monkeypatch.setattr(include, "_ask", lambda *about: asked.append(about) or original(*about))
    along(world, "Task", "_include=Task:focus", "_include=Task:patient", "_revinclude=Task:part-of")
    assert len(asked) == 2


def test_too_many(world, monkeypatch):
    """Bounded: too-costly instead of an answer without end."""
    monkeypatch.setattr(include, "MOST_INCLUDED", 1)
    with pytest.raises(TooCostly):
        along(world, "Task", "_include=Task:focus")
