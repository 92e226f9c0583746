"""Modifiers of tokens and URIs (B-34, B-52)."""

from contextlib import closing

import pytest

from fhir_server.store.db import open_database
from tests.search.stored import ICD, World


def condition(fid, code, **more):
    coding = {"system": ICD, "code": code, **more}
    return {"resourceType": "Condition", "id": fid, "subject": {"reference": "Patient/1"}, "code": {"coding": [coding]}}


def plain(kind, fid, **more):
    return {"resourceType": kind, "id": fid, **more}


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store([condition("c1", "F11.20", display="Opioid dependence"), condition("c2", "F12.10")])
        made.store([plain("Condition", "c3", subject={"reference": "Patient/1"}, code={"text": "Öpioid use"})])
        made.store([plain("Task", "t1", status="draft", intent="order"), plain("Task", "t2", status="requested")])
        named = {"type": {"coding": [{"system": "t", "code": "MR"}], "text": "Record number"}, "value": "12"}
        made.store([plain("Patient", "p1", identifier=[named, {"value": "13"}]), plain("Patient", "p2")])
        entry = [{"item": {"reference": f"Patient/{fid}"}} for fid in ("p1", "unknown")]
        made.store([plain("List", "l1", status="current", mode="working", entry=entry)])
        yield made


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("Condition", f"code:below={ICD}|F11", {"c1"}),
        ("Condition", f"code:below={ICD}|F11.20", {"c1"}),
        ("Condition", f"code:below={ICD}|F1", {"c1", "c2"}),
        ("Condition", f"code:above={ICD}|F11.205", {"c1"}),
        ("Condition", "code:in=http://v.example/opioids", {"c1"}),
        ("Condition", "code:not-in=http://v.example/opioids", {"c2", "c3"}),
        ("Condition", "code:in=http://v.example/nothing", set()),
        ("Condition", "code:not-in=http://v.example/nothing", {"c1", "c2", "c3"}),
        ("Condition", "code:text=opioid", {"c1", "c3"}),
        ("Condition", "code:text=dependence", set()),
        ("Task", "status:in=http://v.example/statuses", {"t1"}),
        ("Task", "status:not=http://hl7.org/fhir/task-status|draft", {"t2"}),
        ("Patient", "identifier:of-type=t|MR|12", {"p1"}),
        ("Patient", "identifier:of-type=t|MR|13", set()),
        ("Patient", "identifier:text=record", {"p1"}),
    ],
)
def test_modifiers(world, kind, text, expected):
    """B-34: value sets, hierarchies read off the code, words, types of identifiers; a system implied by the element."""
    assert set(world.ids(kind, text)) == expected


def test_list(world):
    """B-48: what a List that the caller sees refers to."""
    assert world.ids("Patient", "_list=l1") == ["p1"]
    assert world.ids("Patient", "_list=l2") == []
