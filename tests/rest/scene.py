"""What several tests of the edge store: organizations and a referral between them."""

from collections.abc import Sequence
from typing import Any

from tests.live import Client


def organization(registrar: Client, name: str) -> dict[str, str]:
    """A stored Organization, as a reference."""
    body = {"resourceType": "Organization", "id": name, "name": f"The {name}"}
    answer = registrar.put(f"Organization/{name}", body)
    assert answer.status_code in {200, 201}, answer.text
    return {"reference": f"Organization/{name}"}


def referral(client: Client, requester: str, candidates: Sequence[str], status: str) -> dict[str, Any]:
    """A Task that asks for a service for a new Patient; its parts are stored, itself is not."""
    subject = {"reference": f"Patient/{stored(client, {'resourceType': 'Patient'})['id']}"}
    asked = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": subject}
    return {
        "resourceType": "Task", "status": status, "intent": "order", "priority": "routine", "for": subject,
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "authoredOn": "2026-02-11T09:00:00-08:00", "requester": {"reference": requester},
        "focus": {"reference": f"ServiceRequest/{stored(client, asked)['id']}"},
        "restriction": {"recipient": [{"reference": one} for one in candidates]},
    }  # fmt: skip


def stored(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """The resource as it came back from its create."""
    answer = client.post(body["resourceType"], body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made
