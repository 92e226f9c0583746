"""Composites: both values must stand in one and the same element."""

import json
import random
from contextlib import closing

import pytest

from fhir_server.fhir.errors import BadValue
from fhir_server.search.criteria import offers
from fhir_server.store.db import open_database
from tests.search.stored import DEFINITIONS, World, extractor

NOT_OFFERED = {("DocumentReference", "relationship")}


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
    """One that R4 writes the wrong way round."""
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


# ---- three components, of which one may stand outside the element


def sequence(number, rng):
    """A stretch of a chromosome, and places in it that vary."""
    stretch = {"chromosome": coded(rng.choice("XY"), "urn:c"), "referenceSeqId": coded(rng.choice("ab"), "urn:s")}
    stretch |= {"windowStart": rng.randint(1, 5)} if rng.random() < 0.8 else {}
    stretch |= {"windowEnd": rng.randint(5, 9)} if rng.random() < 0.8 else {}
    variants = [{"start": rng.randint(1, 5), "end": rng.randint(5, 9)} for _ in range(rng.randint(0, 3))]
    made = {"resourceType": "MolecularSequence", "id": f"m{number}", "coordinateSystem": 0, "variant": variants}
    return made | ({"referenceSeq": stretch} if rng.random() < 0.9 else {})


def varies(resource, what, places, holds):
    """Whether one element has the code (its own, or that of the resource's stretch), a start and an end that fit."""
    code, element = what
    stretch = resource.get("referenceSeq", {})
    if code not in {coding["code"] for coding in stretch.get(element, {}).get("coding", ())}:
        return False
    elements = resource["variant"] if places == ("start", "end") else [stretch]
    return any(all(name in one for name in places) and holds(one[places[0]], one[places[1]]) for one in elements)


@pytest.fixture(scope="module")
def sequences(fresh_url, database_kind):
    rng = random.Random(2)
    with closing(open_database(fresh_url(database_kind))) as database:
        made = World(database)
        made.store([sequence(number, rng) for number in range(40)])
        yield made


@pytest.mark.parametrize("low", [2, 4])
@pytest.mark.parametrize(
    ("name", "element", "code", "places"),
    [
        ("chromosome-window-coordinate", "chromosome", "X", ("windowStart", "windowEnd")),
        ("referenceseqid-window-coordinate", "referenceSeqId", "a", ("windowStart", "windowEnd")),
        ("chromosome-variant-coordinate", "chromosome", "Y", ("start", "end")),
        ("referenceseqid-variant-coordinate", "referenceSeqId", "b", ("start", "end")),
    ],
)
def test_three_components(sequences, name, element, code, places, low):
    """B-48: all of one and the same element, each with its own prefix; all R4 composites of three."""
    asked = [
        (f"{code}$gt{low}$lt8", lambda start, end: start > low and end < 8),
        (f"{code}${low}$ge7", lambda start, end: start == low and end >= 7),
        (f"{code}$le{low}$ne6", lambda start, end: start <= low and end != 6),
    ]
    for value, holds in asked:
        resources = sequences.resources.values()
        expected = {one["id"] for one in resources if varies(one, (code, element), places, holds)}
        assert set(sequences.ids("MolecularSequence", f"{name}={value}")) == expected, value
        everything = ",".join(one["id"] for one in resources)
        assert set(sequences.ids("MolecularSequence", f"{name}={value}&_id={everything}")) == expected, value
    assert expected


@pytest.mark.parametrize("value", ["X$1", "X$1$2$3", "X$$2", "X$a$2"])
def test_three_components_are_three(sequences, value):
    """B-29."""
    with pytest.raises(BadValue):
        sequences.ids("MolecularSequence", f"chromosome-window-coordinate={value}")
