"""Composites: both values must stand in one and the same element."""

import json
from contextlib import closing

import pytest

from fhir_server.search.criteria import offers
from fhir_server.store.db import open_database
from tests.search.stored import DEFINITIONS, World, extractor

NOT_OFFERED = {
    ("DocumentReference", "relationship"),
    ("MolecularSequence", "chromosome-variant-coordinate"),
    ("MolecularSequence", "chromosome-window-coordinate"),
    ("MolecularSequence", "referenceseqid-variant-coordinate"),
    ("MolecularSequence", "referenceseqid-window-coordinate"),
}


def coded(code, system="http://loinc.org"):
    return {"coding": [{"system": system, "code": code}]}


def pressure(fid, systolic, diastolic):
    components = [
        {"code": coded("8480-6"), "valueQuantity": {"value": systolic, "code": "mm[Hg]"}},
        {"code": coded("8462-4"), "valueQuantity": {"value": diastolic, "code": "mm[Hg]"}},
    ]
    return {
        "resourceType": "Observation",
        "id": fid,
        "status": "final",
        "code": coded("85354-9"),
        "component": components,
    }


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store([pressure("high", 150, 70), pressure("odd", 70, 150)])
        dated = {"resourceType": "Observation", "id": "dated", "status": "final", "code": coded("d")}
        made.store([dated | {"valueDateTime": "2026-03-01"}])
        trait = {"code": coded("a$b"), "valueBoolean": True, "exclude": False}
        made.store([{"resourceType": "Group", "id": "g", "type": "person", "actual": True, "characteristic": [trait]}])
        context = {"code": {"system": "u", "code": "age"}, "valueRange": {"low": {"value": 18}}}
        made.store([{"resourceType": "Questionnaire", "id": "q", "status": "active", "useContext": [context]}])
        yield made


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("Observation", "component-code-value-quantity=8480-6$gt140", ["high"]),
        ("Observation", "component-code-value-quantity=http://loinc.org|8462-4$gt140||mm[Hg]", ["odd"]),
        ("Observation", "combo-code-value-quantity=8480-6$gt140,8462-4$gt140", ["odd", "high"]),
        ("Observation", "component-code=8480-6&component-value-quantity=gt140", ["odd", "high"]),
        ("Observation", "code-value-quantity=85354-9$gt1", []),
        ("Observation", "code-value-date=d$ge2026-02", ["dated"]),
        ("Observation", "code-value-date=d$lt2026-02", []),
        ("Observation", "component-code-value-quantity:missing=true", ["dated"]),
        ("Group", r"characteristic-value=a\$b$true", ["g"]),
        ("Group", r"characteristic-value=a\$b$false", []),
        ("Questionnaire", "context-type-quantity=u|age$gt30", ["q"]),
        ("Questionnaire", "context-type-quantity=u|age$lt18", []),
    ],
)
def test_pairs(world, kind, text, expected):
    """Two values in one element, not anywhere in the resource; each written as its own parameter is."""
    assert world.ids(kind, text) == expected


def test_what_is_not_offered():
    """Three components, and one that R4 writes the wrong way round."""
    found = {
        (kind, code)
        for kind in DEFINITIONS.types
        for code, param in DEFINITIONS.search_params(kind).items()
        if param.type == "composite" and not offers(DEFINITIONS, kind, param)
    }
    assert found == NOT_OFFERED


def test_official_examples_give_pairs(shared_data):
    """Every pair of a code and a quantity of every official Observation is a row."""
    compared = 0
    for path in sorted((shared_data / "r4-examples").glob("observation-*.json")):
        resource = json.loads(path.read_text())
        elements = [resource, *resource.get("component", ())]
        expected = sum(
            len(one["code"].get("coding", "x")) for one in elements if "value" in one.get("valueQuantity", {})
        )
        rows = extractor().rows("Observation", resource).comp
        combos = {row[1:] for row in rows if row[3][:1] in ("p", "n", "o") and row[3].endswith("!")}
        assert len(combos) <= expected
        compared += len(combos)
    assert compared > 10


def test_a_row_is_never_too_long():
    """A long code with a long unit can still be stored; the unit in words goes first."""
    long = "\U0001f34e" * 230
    value = {"value": 1, "code": long, "unit": long, "system": "s"}
    resource = {"resourceType": "Observation", "id": "x", "code": coded(long), "valueQuantity": value}
    for row in extractor().rows("Observation", resource).comp:
        assert sum(len(text.encode()) for text in (row[1], *row[3:7])) <= 2400
