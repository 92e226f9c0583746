"""What is selected of one resource: the examples of the specification, and what goes beyond them.

https://hl7.org/fhir/R4/graphql.html#fields
"""

import json
from typing import Any

import pytest

from tests.live import Client
from tests.rest.graphql.conftest import asked, data, refused
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

CHALMERS = {
    "resourceType": "Patient", "active": True, "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "urn:time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "identifier": [{"system": "urn:oid:1.2.36.146.595.217.0.1", "value": "12345"}],
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
        {"use": "usual", "given": ["Jim"]},
        {"use": "maiden", "family": "Windsor", "given": ["Peter", "James"], "period": {"end": "2002"}},
    ],
    "extension": [{"url": "urn:a", "valueString": "a"}, {"url": "urn:b", "valueInteger": 2}],
    "contact": [{"name": {"family": "du Marché", "_family": {"id": "f"}}}],
    "contained": [{"resourceType": "Organization", "id": "inner", "name": "Inner"}],
    "managingOrganization": {"reference": "#inner"},
    "generalPractitioner": [{"reference": "#inner"}, {"display": "somebody"}],
}  # fmt: skip
BOTH = ["Peter", "James"]
FRAGMENTS = """{ ...A n: name @first { ...B } }
fragment A on Patient { name { use } ...C }
fragment B on HumanName { given }
fragment C on DomainResource { ... on Patient { name { family } } }"""
EXAMPLES: list[tuple[str, Any]] = [
    (
        "{ identifier { system value } active name { text given family } }",
        {
            "identifier": [{"system": "urn:oid:1.2.36.146.595.217.0.1", "value": "12345"}],
            "active": True,
            "name": [{"given": BOTH, "family": "Chalmers"}, {"given": ["Jim"]}, {"given": BOTH, "family": "Windsor"}],
        },
    ),
    (
        "{ birthDate _birthDate { extension { valueDateTime } } }",
        {"birthDate": "1974-12-25", "_birthDate": {"extension": [{"valueDateTime": "1974-12-25T14:35:45-05:00"}]}},
    ),
    ('{ name(fhirpath: "family.exists()") { family } }', {"name": [{"family": "Chalmers"}, {"family": "Windsor"}]}),
    ("{ name(use: official) { family } }", {"name": [{"family": "Chalmers"}]}),
    ('{ name(use: [usual, "maiden"], given: "Jim") { use } }', {"name": [{"use": "usual"}]}),
    ('{ myext: extension(url: "urn:a") { value: valueString } }', {"myext": [{"value": "a"}]}),
    ("{ name(_count: 1, _offset: 1) { use } }", {"name": [{"use": "usual"}]}),
    ('{ name(fhirpath: "family.exists()", _offset: 1) { use } }', {"name": [{"use": "maiden"}]}),
    (
        "{ identifier @flatten { system value } active name @flatten { text given family } }",
        {
            "system": ["urn:oid:1.2.36.146.595.217.0.1"],
            "value": ["12345"],
            "active": True,
            "given": [*BOTH, "Jim", *BOTH],
            "family": ["Chalmers", "Windsor"],
        },
    ),
    (
        "{ name @flatten { text given @first family } }",
        {"given": ["Peter", "Jim", "Peter"], "family": ["Chalmers", "Windsor"]},
    ),
    (
        "{ identifier @flatten { value @singleton } name @flatten @first { text given family @singleton } }",
        {"value": "12345", "given": BOTH, "family": "Chalmers"},
    ),
    (
        '{ name @flatten @slice(path: "use") { given family @singleton } }',
        {
            "given.official": BOTH,
            "family.official": "Chalmers",
            "given.usual": ["Jim"],
            "given.maiden": BOTH,
            "family.maiden": "Windsor",
        },
    ),
    (
        '{ name @flatten @slice(path: "$index") { given @first @singleton family @singleton } }',
        {"given.0": "Peter", "family.0": "Chalmers", "given.1": "Jim", "given.2": "Peter", "family.2": "Windsor"},
    ),
    (
        '{ name @first { given @slice(path: "$index") } n: name(use: usual) { given @slice(path: "use") } }',
        {"name": {"given.0": ["Peter"], "given.1": ["James"]}, "n": [{"given": ["Jim"]}]},
    ),
    (
        '{ name @slice(path: "use") { family } }',
        {"name.official": [{"family": "Chalmers"}], "name.usual": [{}], "name.maiden": [{"family": "Windsor"}]},
    ),
    (
        "{ contact { __typename name { family _family { id } } } }",
        {"contact": [{"__typename": "PatientContact", "name": {"family": "du Marché", "_family": {"id": "f"}}}]},
    ),
    (
        "{ contained { resourceType id ... on Organization { name } ... on Group { quantity } } }",
        {"contained": [{"resourceType": "Organization", "id": "inner", "name": "Inner"}]},
    ),
    ("{ managingOrganization { resource { name } } }", {"managingOrganization": {"resource": {"name": "Inner"}}}),
    (
        "{ generalPractitioner { resource(optional: true, type: Organization) { id } } }",
        {"generalPractitioner": [{"resource": {"id": "inner"}}, {}]},
    ),
    (
        FRAGMENTS,
        {
            "name": [
                {"use": "official", "family": "Chalmers"},
                {"use": "usual"},
                {"use": "maiden", "family": "Windsor"},
            ],
            "n": {"given": BOTH},
        },
    ),
    (
        "{ active @skip(if: true) birthDate @include(if: false) ... on Resource @include(if: true) { resourceType } }",
        {"resourceType": "Patient"},
    ),
    ("{ ConditionList(_reference: patient) { id } }", {"ConditionList": []}),
    (
        "{ contained { ... on Organization { PatientList(_reference: organization) { id } } } }",
        {"contained": [{"PatientList": []}]},
    ),
]
MISTAKES = [
    ("{ foo { family } }", "Patient has no field foo.", (1, 3)),
    ("{\n  name {\n    first\n  }\n}", "HumanName has no field first.", (3, 5)),
    ("{ name }", "name has fields: choose some of them.", (1, 3)),
    ("{ birthDate { year } }", "birthDate is a plain value and has no fields.", (1, 3)),
    ("{ birthDate(_count: 1) }", "birthDate takes no argument _count.", (1, 3)),
    ("{ name(first: 1) { family } }", "name takes no argument first.", (1, 3)),
    ("{ name(_count: -1) { family } }", "_count is a whole number.", (1, 3)),
    ("{ name { ... on Patient { id } } }", "What stands here is HumanName, never Patient.", (1, 27)),
    ("{ managingOrganization { resource { birthDate } } }", "Organization has no field birthDate.", (1, 37)),
    ("{ managingOrganization { resource(type: Orga) { id } } }", "type names a resource type of R4.", (1, 26)),
    ("{ contained { name } }", "name is different things here: name the type in a fragment.", (1, 15)),
    ("{ contained { foo } }", "No type that may stand here has a field foo.", (1, 15)),
    ("{ active @flatten }", "active is a plain value and has no fields.", (1, 3)),
    ('{ name @first @slice(path: "use") { use } }', "@first and @slice do not go together.", (1, 3)),
    ("{ name @slice { use } }", "", (1, 8)),
    ("{ name @sort { use } }", "", (1, 8)),
    ("{ name @flatten { given @singleton } }", "There is more than one value for given, which is no list.", (1, 19)),
    ("{ name @flatten { x: use x: period { end } } }", "", (1, 26)),
    ("{ x: active x: birthDate }", "", (1, 13)),
    ('{ name(fhirpath: "family.") { use } }', "", (1, 3)),
    ('{ name(fhirpath: "family.matches(\'a\')") { use } }', "", (1, 3)),
    ("{ ConditionList { id } }", "", (1, 3)),
    ("{ ConditionList(_reference: code) { id } }", "", (1, 3)),
    ("{ ConditionList(_reference: encounter) { id } }", "encounter of Condition does not refer to a Patient.", (1, 3)),
    ("{ Patient(id: 1) { id } }", "Patient has no field Patient.", (1, 3)),
    ("{ __schema { types { name } } }", "__schema is not offered: what can be asked is what R4 defines.", (1, 3)),
    ("{ ...A } fragment A on Patient { ...B } fragment B on Patient { ...A }", "", (1, 34)),
    ("query($a: Boolean!) { active @skip(if: $a) }", "", (1, 7)),
    ("query { active @skip(if: $a) }", "", (1, 26)),
    ("query A { active } query B { id }", "", None),
    ("mutation { PatientDelete(id: 1) { id } }", "", (1, 1)),
    ("{ active(", "", (1, 10)),
    ("{ }", "", (1, 3)),
]  # fmt: skip


@pytest.fixture(scope="module")
def patient(clinic: Client) -> str:
    return f"Patient/{stored(clinic, CHALMERS)['id']}"


@pytest.mark.parametrize(("query", "expected"), EXAMPLES, ids=[query for query, _ in EXAMPLES])
def test_what_is_selected(clinic: Client, patient: str, query: str, expected: Any) -> None:
    """GQ-04, GQ-05, GQ-06, GQ-07, GQ-10, GQ-11."""
    assert data(clinic, query, patient) == expected


@pytest.mark.parametrize(("query", "words", "place"), MISTAKES, ids=[query for query, *_ in MISTAKES])
def test_mistakes_are_told_with_their_place(
    clinic: Client, patient: str, query: str, words: str, place: tuple[int, int] | None
) -> None:
    """B-18, GQ-02, GQ-03: 400, which type, which field, in which line and column."""
    status, errors = refused(clinic, query, patient)
    assert (status, errors[0]["message"]) in {(400, words or errors[0]["message"]), (422, errors[0]["message"])}
    if place:
        assert errors[0]["locations"][0] == {"line": place[0], "column": place[1]}


def test_every_mistake_is_told_at_once(clinic: Client, patient: str) -> None:
    _, errors = refused(clinic, "{ foo active { x } name { bars } }", patient)
    assert [error["locations"][0]["column"] for error in errors] == [3, 7, 27]


def test_digits_stay(clinic: Client) -> None:
    """B-20."""
    body = b'{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueQuantity":{"value":1.10}}'
    made = clinic.post("Observation", body).json()
    answer = asked(clinic, "{ valueQuantity { value } valueString }", f"Observation/{made['id']}")
    assert answer.text == '{"data":{"valueQuantity":{"value":1.10}}}'
    found = data(clinic, '{ valueQuantity(value: "1.10") { value } }', f"Observation/{made['id']}")
    assert found == {"valueQuantity": {"value": 1.1}}


def test_ways_to_ask(clinic: Client, patient: str) -> None:
    """GQ-01: by GET, as application/graphql, as JSON, in a Parameters resource; one operation of several; _pretty."""
    query = "query One($use: code = usual) { name(use: $use) { family } } query Two { active }"
    chosen = {"query": query, "operationName": "One"}
    expected = {"data": {"name": [{"family": "Chalmers"}]}}
    use = {"use": "official"}
    at = f"{patient}/$graphql"
    text = {"Content-Type": "application/graphql; charset=utf-8"}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "query", "valueString": query}]}
    for answer in (
        clinic.get(at, params={**chosen, "variables": json.dumps(use)}),
        clinic.post(at, {**chosen, "variables": use}, headers={"Content-Type": "application/json"}),
        clinic.post(f"{at}?operationName=One&variables={json.dumps(use)}", query.encode(), headers=text),
        clinic.post(f"{at}?operationName=One&variables={json.dumps(use)}", parameters),
    ):
        assert (answer.status_code, answer.json()) == (200, expected)
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    pretty = clinic.get(at, params={"query": "{active}", "_pretty": "true", "_format": "xml"})
    assert pretty.text == '{\n  "data": {\n    "active": true\n  }\n}'
    assert clinic.request("HEAD", at, params={"query": "{active}"}).text == ""


def test_what_a_bundle_holds(clinic: Client) -> None:
    """A stored Bundle's entries have what they contain, and no place of their own that something could refer to."""
    inner = {"resourceType": "Organization", "id": "o", "name": "In an entry"}
    entry = {"resourceType": "Patient", "id": "p", "contained": [inner], "managingOrganization": {"reference": "#o"}}
    made = stored(clinic, {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": entry}]})
    query = """{ entry { resource { ... on Patient { id managingOrganization { resource { name } }
        ConditionList(_reference: patient) { id } } } } }"""
    found = data(clinic, query, f"Bundle/{made['id']}")["entry"][0]["resource"]
    assert found == {
        "id": "p",
        "managingOrganization": {"resource": {"name": "In an entry"}},
        "ConditionList": [],
    }


@pytest.mark.parametrize("body", [
    {"query": 1}, {"query": "{id}", "variables": []}, {"query": "{id}", "operationName": 5}, {}, [], "x",
    {"query": "{id}", "operationName": "Other"},
])  # fmt: skip
def test_what_is_no_query(clinic: Client, patient: str, body: Any) -> None:
    answer = clinic.post(f"{patient}/$graphql", json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_what_stands_beside(clinic: Client, patient: str) -> None:
    """Absent, of an unknown type, in a Bundle, as a form: refused like any other request."""
    assert refused(clinic, "{ id }", "Patient/absent")[0] == 404
    for query, status in (("{ id }", 404), ("{ foo }", 400)):
        assert asked(clinic, query, "Patient/absent").status_code == status
    assert clinic.get("Patient/$graphql?query={id}").status_code == 404
    assert clinic.post(f"{patient}/$graphql", b"{id}", headers={"Content-Type": "text/plain"}).status_code == 415
    entry = {"request": {"method": "GET", "url": f"{patient}/$graphql?query=%7Bid%7D"}}
    for kind in ("batch", "transaction"):
        answer = clinic.post("", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        assert "cannot stand in" in answer.text
