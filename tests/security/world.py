"""Resources as the tests of this folder write them, and short words for what is done with them."""

from typing import Any

from tests.live import Client

Json = dict[str, Any]


def made(client: Client, resource: Json, **options: Any) -> Json:
    """What the server stored of a new resource."""
    answer = client.post(resource["resourceType"], resource, **options)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def changed(client: Client, resource: Json, **values: Any) -> Json:
    """What the server stored of a resource's next version."""
    answer = attempt(client, resource, **values)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def attempt(client: Client, resource: Json, **values: Any) -> Any:
    """The answer to a resource's next version, whose version the client knows."""
    body = {name: value for name, value in {**resource, **values}.items() if value is not None}
    tag = {"If-Match": f'W/"{resource["meta"]["versionId"]}"'}
    return client.put(f"{resource['resourceType']}/{resource['id']}", body, headers=tag)


def name_of(resource: Json) -> str:
    """Type/id."""
    return f"{resource['resourceType']}/{resource['id']}"


def to(target: Json | str) -> Json:
    """A Reference."""
    return {"reference": target if isinstance(target, str) else name_of(target)}


def organization(client: Client) -> Json:
    """A Reference to a client's organization."""
    return to(f"Organization/{client.id}")


def sees(client: Client, resource: Json) -> bool:
    """Whether a client can read a resource."""
    status = client.get(name_of(resource)).status_code
    assert status in {200, 404}
    return bool(status == 200)


def patient(client: Client, family: str = "Rivera", **more: Any) -> Json:
    return made(client, {"resourceType": "Patient", "name": [{"family": family}], **more})


def care_team(client: Client, of: Json, *members: Client, **more: Any) -> Json:
    participants = [{"member": organization(member)} for member in members]
    team = {"resourceType": "CareTeam", "status": "active", "subject": to(of), "participant": participants, **more}
    return made(client, team)


def condition(client: Client, of: Json, text: str = "Asthma", **more: Any) -> Json:
    return made(client, {"resourceType": "Condition", "subject": to(of), "code": {"text": text}, **more})


def request(client: Client, of: Json, **more: Any) -> Json:
    return made(
        client,
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "subject": to(of),
            "requester": organization(client),
            "code": {"text": "Food"},
            **more,
        },
    )


def task(client: Client, of: Json, focus: Json | None, **more: Any) -> Json:
    return made(client, task_body(client, of, focus, **more))


def task_body(client: Client, of: Json, focus: Json | None, **more: Any) -> Json:
    body = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "authoredOn": "2026-01-15",
        "for": to(of),
        "requester": organization(client),
        **({"focus": to(focus)} if focus else {}),
        **more,
    }
    return {name: value for name, value in body.items() if value is not None}


def listed(*resources: Json) -> list[Json]:
    """Task.input that names resources."""
    return [{"type": {"text": "information"}, "valueReference": to(resource)} for resource in resources]


def deny(client: Client, of: Json, recipient: Client | None = None, **more: Any) -> Json:
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
    actors = {"actor": [{"role": role, "reference": organization(recipient)}]} if recipient else {}
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return made(
        client,
        {
            "resourceType": "Consent",
            "status": "active",
            "scope": {"coding": [scope]},
            "category": [{"text": "privacy"}],
            "policyRule": {"text": "policy"},
            "patient": to(of),
            "provision": {"type": "deny", **actors, **more},
        },
    )
