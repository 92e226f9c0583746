"""$docref and $document over HTTP, on both databases."""

from typing import Any

import pytest

from fhir_server.validation import structure
from tests.live import Client, LiveServer
from tests.rest.operations.conftest import parameters
from tests.rest.scene import organization, stored

pytestmark = pytest.mark.heavy

LOINC = "http://loinc.org"


@pytest.fixture(scope="module")
def patient(clinic: Client, registrar: Client) -> str:
    organization(registrar, "clinic")
    return str(stored(clinic, {"resourceType": "Patient", "name": [{"family": "Rivera"}]})["id"])


@pytest.fixture(scope="module")
def documents(clinic: Client, patient: str) -> dict[str, str]:
    def one(code: str, date: str, period: dict[str, str], status: str = "current") -> str:
        body = {"resourceType": "DocumentReference", "status": status, "date": f"{date}T10:00:00Z",
                "type": {"coding": [{"system": LOINC, "code": code}]}, "subject": {"reference": f"Patient/{patient}"},
                "content": [{"attachment": {"contentType": "text/plain", "url": "urn:x"}}],
                "context": {"period": period}}  # fmt: skip
        return str(stored(clinic, body)["id"])

    return {
        "old": one("34133-9", "2024-06-01", {"start": "2024-01-01", "end": "2024-05-31"}),
        "new": one("34133-9", "2026-06-01", {"start": "2026-01-01", "end": "2026-05-31"}),
        "other": one("18776-5", "2025-06-01", {"start": "2025-01-01", "end": "2025-05-31"}),
        "replaced": one("34133-9", "2026-07-01", {"start": "2026-01-01"}, "superseded"),
    }


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["new"]),
        ({"start__dateTime": "2024-01-01"}, ["new", "other", "old"]),
        ({"start__dateTime": "2025-03-01"}, ["new", "other"]),
        ({"end__dateTime": "2025-03-01"}, ["other", "old"]),
        ({"start__dateTime": "2024-06-01", "end__dateTime": "2024-12-31"}, []),
        ({"type__Coding": {"system": LOINC, "code": "18776-5"}}, ["other"]),
        ({"type__Coding": [{"system": LOINC, "code": "18776-5"}, {"code": "34133-9"}], "start__dateTime": "2024"},
         ["new", "other", "old"]),
        ({"on_demand__boolean": True}, []),
        ({"profile__canonical": "urn:none"}, []),
    ],
)  # fmt: skip
def test_documents_are_found(clinic: Client, patient: str, documents: Any, given: Any, names: Any) -> None:
    """US Core $docref: current ones, the newest alone without dates, narrowed by dates of care and type."""
    body = parameters(patient__id=patient, **given)
    answer = clinic.post("DocumentReference/$docref", body)
    assert answer.status_code == 200, answer.text
    assert [one["resource"]["id"] for one in answer.json().get("entry", [])] == [documents[name] for name in names]
    if not given:
        by_get = clinic.get(f"DocumentReference/$docref?patient={patient}").json()
        assert [one["resource"]["id"] for one in by_get["entry"]] == [documents["new"]]
        assert (by_get["total"], [one["relation"] for one in by_get["link"]]) == (1, ["self"])


def test_documents_of_nobody(clinic: Client, stranger: Client, patient: str, documents: Any) -> None:
    assert clinic.get("DocumentReference/$docref").status_code == 400
    for client, who in ((clinic, "absent"), (stranger, patient)):
        assert client.get(f"DocumentReference/$docref?patient={who}").json()["total"] == 0


def entries(answer: Any) -> list[str]:
    """The references of a document's entries; it is a right Bundle of type document."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    structure.check("Bundle", body)
    assert body["type"] == "document"
    assert body["identifier"]["value"].startswith("urn:uuid:")
    assert body["timestamp"]
    assert all(one["fullUrl"].endswith(f"/{one['resource']['id']}") for one in body["entry"])
    return [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in body["entry"]]


def test_a_composition_as_a_document(clinic: Client, stranger: Client, patient: str) -> None:
    """R4 $document: the Composition first, then what it refers to, each once."""
    subject = {"reference": f"Patient/{patient}"}
    condition = stored(clinic, {"resourceType": "Condition", "subject": subject, "code": {"text": "a"}})["id"]
    entry = {"reference": f"Condition/{condition}"}
    made = stored(clinic, {
        "resourceType": "Composition", "status": "final", "type": {"text": "note"}, "subject": subject, "title": "Note",
        "date": "2026-05-01", "author": [{"reference": "Organization/clinic"}],
        "section": [{"title": "One", "entry": [entry]}, {"title": "Two", "entry": [entry]}],
    })["id"]  # fmt: skip
    found = entries(clinic.get(f"Composition/{made}/$document"))
    assert found[0] == f"Composition/{made}"
    assert sorted(found[1:]) == sorted([f"Patient/{patient}", "Organization/clinic", f"Condition/{condition}"])
    assert clinic.get(f"Composition/{made}/$document?persist=true").status_code == 400
    assert stranger.get(f"Composition/{made}/$document").status_code == 404


def test_a_care_plan_as_a_document(server: LiveServer, clinic: Client, patient: str) -> None:
    """A Composition is made for it; what the caller may not read is not in it."""
    subject = {"reference": f"Patient/{patient}"}
    goal = stored(clinic, {"resourceType": "Goal", "lifecycleStatus": "active", "subject": subject,
                           "description": {"text": "a"}})["id"]  # fmt: skip
    condition = stored(clinic, {"resourceType": "Condition", "subject": subject, "code": {"text": "a"}})["id"]
    plan = stored(clinic, {
        "resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": subject, "title": "Plan",
        "goal": [{"reference": f"Goal/{goal}"}], "addresses": [{"reference": f"Condition/{condition}"}],
        "activity": [{"detail": {"status": "scheduled", "description": "call"}}],
    })["id"]  # fmt: skip
    answer = clinic.get(f"CarePlan/{plan}/$document")
    found = entries(answer)
    assert found[0].startswith("Composition/")
    assert set(found[1:]) == {f"CarePlan/{plan}", f"Patient/{patient}", f"Goal/{goal}", f"Condition/{condition}",
                              "Organization/clinic"}  # fmt: skip
    composition = answer.json()["entry"][0]["resource"]
    assert [one["title"] for one in composition["section"]] == ["Care plan", "Health concerns", "Goals"]
    assert composition["author"] == [{"reference": "Organization/clinic"}]
    narrow = server.client("doc-narrow", organization="Organization/clinic", scopes="system/CarePlan.r system/Goal.r")
    kept = narrow.get(f"CarePlan/{plan}/$document")
    assert set(entries(kept)[1:]) == {f"CarePlan/{plan}", f"Goal/{goal}"}
    assert [one["title"] for one in kept.json()["entry"][0]["resource"]["section"]] == ["Care plan", "Goals"]
