"""Searches of a query: lists, connections, what refers to a resource and what it refers to.

https://hl7.org/fhir/R4/graphql.html#searching
"""

from typing import Any

import orjson
import pytest
from sqlalchemy import select

from fhir_server.store.tables import audit
from tests.live import Client, LiveServer
from tests.rest.graphql.conftest import asked, data, refused
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

TAG = {"meta": {"tag": [{"system": "urn:graphql", "code": "searches"}]}}
ALL = '_tag: "urn:graphql|searches"'


@pytest.fixture(scope="module")
def members(clinic: Client) -> list[dict[str, Any]]:
    """Three Patients, the first one with two Conditions and an Observation."""
    names = ("Ames, Jr", "Bell", "Cole")
    made = [stored(clinic, {"resourceType": "Patient", **TAG, "name": [{"family": name}]}) for name in names]
    subject = {"reference": f"Patient/{made[0]['id']}"}
    for text in ("asthma", "gout"):
        stored(clinic, {"resourceType": "Condition", "subject": subject, "code": {"text": text}})
    absolute = {"reference": f"{clinic.server.base}/Patient/{made[0]['id']}/_history/1"}
    focus = [subject, absolute, {"reference": "https://elsewhere.example.org/fhir/Patient/1"}, {"display": "x"}]
    stored(clinic, {"resourceType": "Observation", "status": "final", "code": {"text": "a"}, "subject": subject,
                    "focus": focus})  # fmt: skip
    return made


def families(found: Any) -> list[str]:
    return sorted(one["name"][0]["family"] for one in found)


@pytest.mark.parametrize(("arguments", "expected"), [
    (ALL, ["Ames, Jr", "Bell", "Cole"]),
    (f'{ALL}, family: "bell"', ["Bell"]),
    (f'{ALL}, family: ["bell", "cole"]', ["Bell", "Cole"]),
    (f'{ALL}, family: "Ames, Jr"', ["Ames, Jr"]),
    (f'{ALL}, _filter: "family sw \\"bell\\" or family sw \\"cole\\""', ["Bell", "Cole"]),
    (f"""{ALL}, fhirpath: "name.family.startsWith('C')" """, ["Cole"]),
    (f"{ALL}, birthdate: null, active: false", []),
])  # fmt: skip
def test_lists(clinic: Client, members: Any, arguments: str, expected: list[str]) -> None:
    """B-30, B-31, GQ-08: an array is OR, a comma is a comma, a search parameter has the words that GraphQL allows."""
    assert families(data(clinic, f"{{ PatientList({arguments}) {{ name {{ family }} }} }}")["PatientList"]) == expected


def test_a_read_beside_lists(clinic: Client, members: Any) -> None:
    """GQ-08."""
    query = (
        "query($id: ID!, $n: Int = 1) { Patient(id: $id) { id } few: PatientList(_count: $n, _sort: family) { id } }"
    )
    found = data(clinic, query, id=members[0]["id"])
    assert (found["Patient"], len(found["few"])) == ({"id": members[0]["id"]}, 1)
    assert refused(clinic, query, id="absent")[0] == 404


def test_what_refers_to_a_resource(clinic: Client, members: Any) -> None:
    """GQ-10, as lists and as connections."""
    query = f"""{{ PatientList({ALL}, _sort: "family") {{
        ConditionList(_reference: patient) {{ code {{ text }} }}
        one: ConditionConnection(_reference: subject, _count: 1) {{ count pagesize edges {{ mode resource {{ id }} }} }}
    }} }}"""
    first, second, _ = data(clinic, query)["PatientList"]
    assert sorted(one["code"]["text"] for one in first["ConditionList"]) == ["asthma", "gout"]
    assert (first["one"]["count"], first["one"]["pagesize"], len(first["one"]["edges"])) == (2, 1, 1)
    assert first["one"]["edges"][0]["mode"] == "match"
    assert second == {"ConditionList": [], "one": {"count": 0, "pagesize": 1}}


def test_inner_lists_are_those_of_each_by_itself(server: LiveServer, clinic: Client) -> None:
    """GQ-10: found for all at once and told apart; the same as one query for each, and in its order."""
    tag = {"meta": {"tag": [{"system": "urn:graphql", "code": "apart"}]}}
    about = [stored(clinic, {"resourceType": "Patient", **tag}) for _ in range(4)]
    entries = []
    for number in range(230):
        named = [about[number % 3], *([about[1]] if number % 7 == 0 else [])]
        detail = [{"reference": f"Patient/{one['id']}"} for one in named]
        activity = {"resourceType": "Provenance", "target": detail, "recorded": "2026-01-15T00:00:00Z",
                    "agent": [{"who": {"display": str(number)}}]}  # fmt: skip
        entries.append({"resource": activity, "request": {"method": "POST", "url": "Provenance"}})
    made = clinic.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert made.status_code == 200
    inner = "id ProvenanceList(_reference: target%s) { agent { who { display } } }"
    of_all = f'{{ PatientList(_tag: "urn:graphql|apart") {{ {inner} }} }}'
    for more in ("", ', recorded: "2026", _sort: "recorded"'):
        each = {one["id"]: data(clinic, f"{{ {inner % more} }}", f"Patient/{one['id']}") for one in about}
        assert data(clinic, of_all % more)["PatientList"] == [each[one["id"]] for one in reversed(about)]
    answer = asked(clinic, of_all % "")
    server.engine.reads.drain()
    wanted = select(audit.c.interaction).where(audit.c.request == answer.headers["X-Request-Id"])
    found = server.engine.database.read().execute(wanted).scalars()
    assert list(found) == ["search-type"] * 3  # the members, and two pages of what refers to them


def test_a_walk_by_cursors_is_the_search(clinic: Client, members: Any) -> None:
    """B-45, GQ-09: on and back again, each match once, for this caller alone."""
    asking = "{ PatientConnection(%s) { count offset previous next edges { resource { id } } } }"
    page = data(clinic, asking % f'{ALL}, _count: 2, _sort: "family"')["PatientConnection"]
    assert (page["count"], page["offset"]) == (3, 0)
    further = data(clinic, asking % f'_cursor: "{page["next"]}"')["PatientConnection"]
    ids = [edge["resource"]["id"] for one in (page, further) for edge in one["edges"]]
    assert ids == [one["id"] for one in members]
    assert "next" not in further
    assert "offset" not in further
    back = data(clinic, asking % f'cursor: "{further["previous"]}"')["PatientConnection"]
    assert back["edges"] == page["edges"]
    cursor = f'_cursor: "{page["next"]}"'
    for wrong in (
        f"{{ PatientConnection({cursor}, _count: 2) {{ count }} }}", f"{{ PatientList({cursor}) {{ id }} }}",
        f"{{ GroupConnection({cursor}) {{ count }} }}", '{ PatientConnection(cursor: "a") { count } }',
        f"{{ PatientList {{ PatientConnection(_reference: link, {cursor}) {{ count }} }} }}",
    ):  # fmt: skip
        assert refused(clinic, wrong)[0] == 400
    inside = clinic.get("Patient?_contained=both&_count=1").json()["link"]
    token = next(link["url"].partition("_page=")[2] for link in inside if link["relation"] == "next")
    assert refused(clinic, asking % f'_cursor: "{token}"')[0] == 400


def test_a_cursor_is_its_callers(clinic: Client, stranger: Client, members: Any) -> None:
    """L17."""
    page = data(clinic, f"{{ PatientConnection({ALL}, _count: 1) {{ next }} }}")["PatientConnection"]
    assert refused(stranger, f'{{ PatientConnection(_cursor: "{page["next"]}") {{ count }} }}')[0] == 404


def test_references(clinic: Client, members: Any) -> None:
    """GQ-07: ours in any spelling is resolved; what is elsewhere or nothing refuses the query, unless optional."""
    of = f'{{ ObservationList(subject: "{members[0]["id"]}") {{ subject {{ %s }} focus {{ %s }} }} }}'
    [found] = data(clinic, of % ("reference resource { id }", "resource(optional: true) { id }"))["ObservationList"]
    own = {"resource": {"id": members[0]["id"]}}
    assert found["subject"] == {"reference": f"Patient/{members[0]['id']}", **own}
    assert found["focus"] == [own, own, {}, {}]
    [found] = data(clinic, of % ("resource(type: Group) { id }", "display"))["ObservationList"]
    assert found["subject"] == {}
    two = "resource(type: Group) { quantity } resource(type: Patient) { ConditionList(_reference: patient) { id } }"
    [found] = data(clinic, of % (two, "display"))["ObservationList"]
    assert len(found["subject"]["resource"]["ConditionList"]) == 2
    status, errors = refused(clinic, of % ("id", "resource { id }"))
    assert (status, errors[0]["extensions"]["resource"]["issue"][0]["code"]) == (404, "not-found")


def test_a_list_is_complete_or_refused(clinic: Client) -> None:
    """GQ-08: no list is cut in silence."""
    code = {"system": "urn:graphql", "code": "many"}
    entry = {
        "resource": {"resourceType": "Basic", "code": {"coding": [code]}},
        "request": {"method": "POST", "url": "Basic"},
    }
    made = clinic.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 201})
    assert made.status_code == 200
    many = 'code: "urn:graphql|many"'
    for arguments in (many, f"{many}, _count: 500"):
        status, errors = refused(clinic, f"{{ BasicList({arguments}) {{ id }} }}")
        assert (status, errors[0]["message"]) == (
            400,
            "More than 200 match: ask for BasicConnection, or narrow the search.",
        )
    assert len(data(clinic, f"{{ BasicList({many}, _count: 200) {{ id }} }}")["BasicList"]) == 200


REFUSED = [
    ('{ PatientList(nom: "a") { id } }', 400, "not-supported"),
    ('{ PatientList(birthdate: "spring") { id } }', 400, "value"),
    ('{ PatientList(_include: "Patient:link") { id } }', 400, "not-supported"),
    ('{ PatientList(_contained: "both") { id } }', 400, "not-supported"),
    ("{ PatientList(name: {a: 1}) { id } }", 400, "invalid"),
    ("{ PatientList(_reference: link) { id } }", 400, "not-supported"),
    ("{ Patient { id } }", 400, "value"),
    ('{ Patient(id: "a", name: "b") { id } }', 400, "value"),
    ("{ name { family } }", 400, "not-supported"),
    ("{ Foo(id: 1) { id } }", 400, "not-supported"),
    ("{ PatientConnection { edges { id } } }", 400, "not-supported"),
    ("{ PatientConnection { edges { resource { foo } } } }", 400, "not-supported"),
]


@pytest.mark.parametrize(("query", "status", "code"), REFUSED, ids=[query for query, *_ in REFUSED])
def test_what_cannot_be_asked(clinic: Client, query: str, status: int, code: str) -> None:
    """B-28, B-29."""
    found, errors = refused(clinic, query)
    assert (found, errors[0]["extensions"]["resource"]["issue"][0]["code"]) == (status, code)


def test_scopes_are_those_of_reads_and_searches(server: LiveServer, clinic: Client, members: Any) -> None:
    """R1: r to read, s to search, decided first; what references lead to is absent without r, as from includes."""
    fid = members[0]["id"]
    searcher = server.client("searcher", "Organization/clinic", scopes="system/Observation.rs system/Patient.s")
    assert refused(searcher, f'{{ Patient(id: "{fid}") {{ id }} }}')[0] == 403
    assert refused(searcher, "{ id }", f"Patient/{fid}")[0] == 403
    assert families(data(searcher, f"{{ PatientList({ALL}) {{ name {{ family }} }} }}")["PatientList"])
    assert refused(searcher, f"{{ PatientList({ALL}) {{ ConditionList(_reference: patient) {{ id }} }} }}")[0] == 403
    query = f'{{ ObservationList(subject: "{fid}") {{ id subject {{ resource(optional: true) {{ id }} }} }} }}'
    assert [one["subject"] for one in data(searcher, query)["ObservationList"]] == [{}]


def test_the_trail_is_that_of_reads_and_searches(server: LiveServer, clinic: Client, members: Any) -> None:
    """SD-04: each search with its query and what it showed, and what references led to, in one event for the level."""
    fid = members[0]["id"]
    query = f"""{{ Patient(id: "{fid}") {{ id }}
        ObservationList(subject: "{fid}") {{ subject {{ resource {{ id }} }} focus @first {{ resource {{ id }} }} }}
        }}"""
    answer = asked(clinic, query)
    assert answer.status_code == 200
    missed = asked(clinic, '{ Patient(id: "absent") { id } }')
    wrong = asked(clinic, "{ Foo }")
    server.engine.reads.drain()

    def events(of: Any) -> list[tuple[Any, ...]]:
        columns = [audit.c[name] for name in ("interaction", "outcome", "query", "entities")]
        wanted = select(*columns).where(audit.c.request == of.headers["X-Request-Id"])
        return [tuple(row) for row in server.engine.database.read().execute(wanted)]

    told = {(kind, status, text): orjson.loads(entities) for kind, status, text, entities in events(answer)}
    observation = data(clinic, f'{{ ObservationList(subject: "{fid}") {{ id }} }}')["ObservationList"][0]["id"]
    shown = {key[0]: [entity[:2] for entity in entities] for key, entities in told.items() if "subject" in key[2]}
    assert shown == {"search-type": [["Observation", observation]]}
    reads = [(key[2], [entity[:2] for entity in entities]) for key, entities in told.items() if key[0] == "read"]
    assert sorted(reads) == [("", [["Patient", fid]]), (f"Patient/{fid}", [["Patient", fid]])]
    assert [event[:2] for event in events(missed)] == [("read", 404)]
    assert [event[:2] for event in events(wrong)] == [("graphql", 400)]
