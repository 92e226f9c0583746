"""Patient/$everything over HTTP, on both databases."""

from typing import Any

import pytest

from fhir_server.rest.operations import everything
from tests.live import Client, LiveServer
from tests.rest.operations.conftest import parameters
from tests.rest.scene import organization, referral, stored


@pytest.fixture(scope="module")
def record(clinic: Client, registrar: Client) -> dict[str, Any]:
    """A record: the Patient, care of several dates, a referral, something of two patients; and another's record."""
    organization(registrar, "clinic")
    doctor = stored(registrar, {"resourceType": "Practitioner", "name": [{"family": "Vang"}]})
    patient = stored(clinic, {"resourceType": "Patient", "name": [{"family": "Rivera"}],
                              "managingOrganization": {"reference": "Organization/clinic"}})  # fmt: skip
    other = stored(clinic, {"resourceType": "Patient", "name": [{"family": "Other"}]})
    subject, second = ({"reference": f"Patient/{one['id']}"} for one in (patient, other))
    performer = [{"reference": f"Practitioner/{doctor['id']}"}]
    made = {
        "Patient": patient["id"],
        "old": stored(clinic, {"resourceType": "Observation", "status": "final", "code": {"text": "a"},
                               "subject": subject, "effectiveDateTime": "2020-05-01", "performer": performer})["id"],
        "new": stored(clinic, {"resourceType": "Observation", "status": "final", "code": {"text": "b"},
                               "subject": subject, "effectiveDateTime": "2026-05-01T10:00:00Z"})["id"],
        "undated": stored(clinic, {"resourceType": "Condition", "code": {"text": "c"}, "subject": subject})["id"],
        "both": stored(clinic, {"resourceType": "Appointment", "status": "booked", "participant": [
            {"actor": subject, "status": "accepted"}, {"actor": second, "status": "accepted"}]})["id"],
    }  # fmt: skip
    stored(clinic, {"resourceType": "Condition", "code": {"text": "d"}, "subject": second})
    gone = stored(clinic, {"resourceType": "Condition", "code": {"text": "e"}, "subject": subject})
    assert clinic.delete(f"Condition/{gone['id']}").status_code == 204
    task = referral(clinic, "Organization/clinic", [], "draft")
    task |= {"for": subject, "focus": {"reference": f"Condition/{made['undated']}"}}
    made["task"] = stored(clinic, {name: value for name, value in task.items() if name != "restriction"})["id"]
    made["doctor"], made["other"] = doctor["id"], other["id"]
    return made


def told(answer: Any) -> dict[str, set[str]]:
    """Mode -> the ids told in that mode; no id twice."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["resourceType"], body["type"]) == ("Bundle", "searchset")
    entries = body.get("entry", [])
    assert len({one["fullUrl"] for one in entries}) == len(entries)
    modes = {"match", "include"}
    return {mode: {e["resource"]["id"] for e in entries if e["search"]["mode"] == mode} for mode in modes}


def ids(record: dict[str, Any], *names: str) -> set[str]:
    return {record[name] for name in names}


WHOLE = ("Patient", "old", "new", "undated", "both", "task")


def test_the_whole_record_and_what_it_refers_to(clinic: Client, record: Any) -> None:
    """US Core, P3: the compartment with Task, practitioners and organizations beside it, nobody else's record."""
    found = told(clinic.get(f"Patient/{record['Patient']}/$everything"))
    assert found["match"] == ids(record, *WHOLE)
    assert found["include"] == {record["doctor"], "clinic"}
    assert told(clinic.post(f"Patient/{record['Patient']}/$everything", {"resourceType": "Parameters"})) == found


def test_a_long_record_is_streamed_in_pieces(clinic: Client, record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece it is the same record; what several pieces refer to is told once."""
    whole = told(clinic.get(f"Patient/{record['Patient']}/$everything"))
    monkeypatch.setattr(everything, "_PIECE", 1)
    assert told(clinic.get(f"Patient/{record['Patient']}/$everything")) == whole


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("_type=Observation", ("old", "new")),
        ("_type=Observation&_type=Condition", ("old", "new", "undated")),
        ("_type=Task,Patient", ("Patient", "task")),
        ("_type=Organization", ()),
        ("start=2021", ("Patient", "new", "undated", "both", "task")),
        ("end=2020-05-01", ("Patient", "old", "undated", "both")),
        ("start=2020-05-01&end=2020-05-01&_type=Observation", ("old",)),
        ("start=2020-05-02&end=2026-04-30&_type=Observation", ()),
        ("_since=2099-01-01T00:00:00Z", ()),
        ("_since=2020-01-01T00:00:00Z&_type=Condition", ("undated",)),
    ],
)
def test_it_can_be_narrowed(clinic: Client, record: Any, query: str, names: Any) -> None:
    """_type, start and end (care; what has no date stays), _since (stored)."""
    assert told(clinic.get(f"Patient/{record['Patient']}/$everything?{query}"))["match"] == ids(record, *names)


@pytest.mark.parametrize("count", [1, 2, 4, 1000])
def test_pages_add_up(clinic: Client, stranger: Client, record: Any, count: int) -> None:
    """Every row once, whatever the size of a page; a page belongs to who asked for it and to its record."""
    url, found, pages = f"Patient/{record['Patient']}/$everything?_count={count}", [], 0
    while url:
        answer = clinic.get(url)
        found += sorted(told(answer)["match"])
        pages += 1
        links = {one["relation"]: one["url"] for one in answer.json()["link"]}
        url = links.get("next", "")
        if url and pages == 1:
            assert stranger.get(url).status_code == 404
            assert clinic.get(url.replace(record["Patient"], record["other"])).status_code == 400
            assert clinic.get(url + "&_type=Task").status_code == 400
    assert sorted(found) == sorted(ids(record, *WHOLE))
    assert pages == -(-len(WHOLE) // count)


@pytest.mark.parametrize(
    "query", ["_count=0", "_count=x", "_type=Nonsense", "start=yesterday", "_since=2020", "_elements=id", "_page=x"]
)
def test_bad_arguments(clinic: Client, record: Any, query: str) -> None:
    answer = clinic.get(f"Patient/{record['Patient']}/$everything?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text or "page" in answer.text


def test_only_what_the_caller_sees(server: LiveServer, clinic: Client, stranger: Client, record: Any) -> None:
    """Hidden is absent; a scope that leaves out a type leaves it out here as well; who has no scope is refused."""
    hidden = stranger.get(f"Patient/{record['Patient']}/$everything")
    assert (hidden.status_code, hidden.json()) == (404, stranger.get("Patient/absent/$everything").json())
    narrow = server.client("every-narrow", organization="Organization/clinic", scopes="system/Patient.r system/Task.r")
    assert told(narrow.get(f"Patient/{record['Patient']}/$everything")) == {
        "match": ids(record, "Patient", "task"), "include": set(),
    }  # fmt: skip
    none = server.client("every-none", organization="Organization/clinic", scopes="system/Task.r")
    assert none.get(f"Patient/{record['Patient']}/$everything").status_code == 403


def test_every_resource_is_audited(server: LiveServer, clinic: Client, record: Any) -> None:
    """No audit, no data: each resource that goes out is named."""
    seen: list[Any] = []
    original = server.engine.reads.append
    server.engine.reads.append = lambda event: (seen.append(event), original(event))[1]  # type: ignore[method-assign]
    try:
        clinic.get(f"Patient/{record['Patient']}/$everything")
    finally:
        server.engine.reads.append = original  # type: ignore[method-assign]
    named = {entity[1] for event in seen if event.interaction == "everything" for entity in event.entities}
    assert named == ids(record, *WHOLE, "doctor") | {"clinic"}


def test_a_deleted_patient_is_gone(clinic: Client) -> None:
    made = stored(clinic, {"resourceType": "Patient", "name": [{"family": "Gone"}]})["id"]
    clinic.delete(f"Patient/{made}")
    assert clinic.get(f"Patient/{made}/$everything").status_code == 410
    assert clinic.post(f"Patient/{made}/$everything", parameters(hat__string="x")).status_code == 400
