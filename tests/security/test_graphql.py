"""The same query in GraphQL under several principals: what each may see by reads and searches, and nothing else."""

from typing import Any

from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import (
    Json,
    care_team,
    condition,
    deny,
    listed,
    made,
    name_of,
    organization,
    patient,
    request,
    sees,
    task,
    to,
)  # fmt: skip

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ABSENT = "01a20485-0000-7000-8000-00000000dead"
JSON = {"Content-Type": "application/json"}


def ask(client: Client, query: str, at: str = "") -> Any:
    """The answer to a query, under a request id that is always the same."""
    return client.post(f"{at}/$graphql".lstrip("/"), {"query": query}, headers={**JSON, "X-Request-Id": "same"})


def told(client: Client, query: str, at: str = "") -> Any:
    answer = ask(client, query, at)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def world(exchange: Exchange) -> tuple[Json, Json, Json, Json]:
    """A member in the clinic's care with an ordinary finding, one of a Part 2 program, and what refers to both."""
    plan = exchange.plan
    person = patient(plan, "Graph")
    care_team(plan, person, exchange.clinic)
    unknown = made(plan, {"resourceType": "Organization", "name": "Somewhere"})

    def finding(code: str) -> Json:
        coded = {"coding": [{"system": ICD10, "code": code}]}
        body = {"resourceType": "Observation", "status": "final", "subject": to(person), "code": coded}
        return made(plan, {**body, "performer": [to(unknown)]})

    open_, part2 = finding("J45"), finding("F11.20")
    both = {"subject": to(person), "code": {"text": "x"}, "evidence": [{"detail": [to(open_), to(part2)]}]}
    return person, open_, part2, made(plan, {"resourceType": "Condition", **both})


def test_a_part_2_record_is_absent_by_every_way(exchange: Exchange) -> None:
    """R7, R17: by read, list, connection, count and reference, for who may not see it; its owner sees it by all."""
    person, open_, part2, about = world(exchange)
    ways = f"""{{
        PatientList(_id: "{person["id"]}") {{
            list: ObservationList(_reference: subject) {{ id }}
            page: ObservationConnection(_reference: patient) {{ count edges {{ resource {{ id }} }} }}
        }}
        ObservationList(subject: "{person["id"]}", fhirpath: "code.exists()") {{ id }}
        ConditionList(_id: "{about["id"]}") {{
            evidence {{ detail {{ resource(optional: true, type: Observation) {{ id }} }} }}
        }}
    }}"""
    for client, seen in ((exchange.plan, [open_, part2]), (exchange.clinic, [open_])):
        assert [sees(client, one) for one in (open_, part2)] == [one in seen for one in (open_, part2)]
        ids = sorted(one["id"] for one in seen)
        found = told(client, ways)
        [member] = found["PatientList"]
        assert sorted(one["id"] for one in member["list"]) == ids
        assert sorted(edge["resource"]["id"] for edge in member["page"]["edges"]) == ids
        assert member["page"]["count"] == len(ids)
        assert sorted(one["id"] for one in found["ObservationList"]) == ids
        details = found["ConditionList"][0]["evidence"][0]["detail"]
        assert sorted(one["resource"]["id"] for one in details if one) == ids
    stranger = told(exchange.stranger, ways)
    assert stranger == {"PatientList": [], "ObservationList": [], "ConditionList": []}


def test_hidden_is_absent(exchange: Exchange) -> None:
    """Rows 56 and 58: the same bytes for a hidden id and one that is not there, at every door of a query."""
    person, _, part2, about = world(exchange)
    for client, hidden in ((exchange.clinic, part2), (exchange.stranger, person), (exchange.pantry, about)):
        type_, fid = hidden["resourceType"], hidden["id"]
        for query, at in (
            ("{ id }", f"{type_}/%s"), ("{ foo }", f"{type_}/%s"),
            ("{ TaskList(_reference: focus) { id } }", f"{type_}/%s"),
            (f'{{ {type_}(id: "%s") {{ id }} }}', ""), (f'{{ {type_}List(_id: "%s") {{ id }} }}', ""),
            (f'{{ {type_}Connection(_id: "%s") {{ count edges {{ resource {{ id }} }} }} }}', ""),
        ):  # fmt: skip
            answers = []
            for one in (fid, ABSENT):
                answer = ask(client, query.replace("%s", one), at.replace("%s", one))
                kept = {name: value for name, value in answer.headers.items() if name not in {"Date", "Content-Length"}}
                answers.append((answer.status_code, answer.content.replace(one.encode(), b"%s"), kept))
            assert answers[0] == answers[1], query


def test_a_reference_to_what_is_hidden_is_one_to_nothing(exchange: Exchange) -> None:
    """Resolved or not, in the same words, whether the target is hidden, deleted or was never there."""
    person, _, part2, about = world(exchange)
    plan, clinic = exchange.plan, exchange.clinic
    gone = condition(plan, person)
    after = condition(plan, person, evidence=[{"detail": [to(gone)]}])
    assert plan.delete(name_of(gone)).status_code == 204
    query = "{ evidence { detail { resource { ... on Observation { id } ... on Condition { id } } } } }"
    hidden, deleted = ask(clinic, query, name_of(about)), ask(clinic, query, name_of(after))
    assert (hidden.status_code, hidden.text) == (deleted.status_code, deleted.text)
    assert hidden.status_code == 404
    assert part2["id"] not in hidden.text


def test_a_contact_view_is_shown_as_such(exchange: Exchange) -> None:
    """SD-08: a community organization is shown the contact view by field, list and reference, and no identifier."""
    plan, pantry = exchange.plan, exchange.pantry
    person = patient(plan, "View", identifier=[{"system": "urn:graph", "value": "hush"}], gender="female")
    asked = task(plan, person, request(plan, person), owner=organization(pantry))
    shown = "{ id name { family } identifier { value } gender }"
    query = f"""{{
        Patient(id: "{person["id"]}") {shown} PatientList(_id: "{person["id"]}") {shown}
        TaskList(_id: "{asked["id"]}") {{ for {{ resource {{ ... on Patient {shown} }} }} }}
    }}"""
    found = told(pantry, query)
    view = pantry.get(name_of(person)).json()
    expected = {name: view[name] for name in ("id", "name", "gender") if name in view}
    for one in (found["Patient"], found["PatientList"][0], found["TaskList"][0]["for"]["resource"]):
        assert one == {**expected, "name": [{"family": "View"}]}
    assert "hush" in ask(plan, query).text
    assert told(pantry, '{ PatientList(identifier: "urn:graph|hush") { id } }') == {"PatientList": []}


def test_a_denial_acts_at_once(exchange: Exchange) -> None:
    """R4, R6: what a consent hides is absent from the next query, and a query sees what a search sees."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan, "Denied")
    care_team(plan, person, clinic)
    finding = condition(plan, person)
    query = f"""{{ ConditionList(patient: "{person["id"]}") {{ id subject {{ resource {{ id }} }} }}
        PatientConnection(_id: "{person["id"]}") {{ count }} }}"""
    before = told(clinic, query)
    own = {"resource": {"id": person["id"]}}
    assert before == {"ConditionList": [{"id": finding["id"], "subject": own}], "PatientConnection": {"count": 1}}
    deny(plan, person, clinic)
    assert told(clinic, query) == {"ConditionList": [], "PatientConnection": {"count": 0}}
    assert told(plan, query) == before


def test_what_a_task_shows_is_shown(exchange: Exchange) -> None:
    """R5: what a referral lists is seen by its receiver in a query as in a read; what it does not list is not."""
    plan, pantry = exchange.plan, exchange.pantry
    person = patient(plan, "Shared")
    shared, kept = condition(plan, person, "shared"), condition(plan, person, "kept")
    work = task(plan, person, request(plan, person), owner=organization(pantry), input=listed(shared, kept)[:1])
    query = f"""{{ TaskList(_id: "{work["id"]}") {{ input {{ valueReference {{ resource {{ ... on Condition {{
        code {{ text }} }} }} }} }} }} ConditionList(patient: "{person["id"]}") {{ code {{ text }} }} }}"""
    found = told(pantry, query)
    assert found["TaskList"][0]["input"] == [{"valueReference": {"resource": {"code": {"text": "shared"}}}}]
    assert found["ConditionList"] == [{"code": {"text": "shared"}}]
    assert len(told(plan, query)["ConditionList"]) == 2
    assert not sees(pantry, kept)
