"""A referral as the tests send it: ServiceRequest and Task, and the moves of the Task."""

from typing import Any

from fhir_server.ecm import vocabulary as words
from tests.ecm.scene import Scene
from tests.live import Client

FULFILL = {"coding": [{"system": words.TASK_CODE, "code": "fulfill"}]}
REASON = {"text": "Because the test says so"}
OUTPUT = [{"type": {"coding": [{"system": words.GRAVITY, "code": "resulting-activity"}]},
           "valueCodeableConcept": {"text": "done"}}]  # fmt: skip
WHEN = "2026-11-01T09:00:00-08:00"
EXPLAINED = ("rejected", "cancelled", "failed", "on-hold")


def organization(name: str) -> dict[str, str]:
    """A reference to an organization of the scene."""
    return {"reference": f"Organization/{name}"}


def request(patient: str, by: str, *, support: bool = False, service: str = "", **more: Any) -> dict[str, Any]:
    """A ServiceRequest for a food pantry, or for a Community Support."""
    system = words.COMMUNITY_SUPPORTS if support else words.COMMUNITY_RESOURCES
    code = service or ("medically-tailored-meals" if support else "food-pantry")
    kind = "community-support" if support else "community-resource"
    return {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "routine",
        "category": [{"coding": [{"system": words.SERVICE_CATEGORIES, "code": kind}]},
                     {"coding": [{"system": words.GRAVITY, "code": "food-insecurity"}]}],
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": f"Patient/{patient}"}, "authoredOn": WHEN, "requester": organization(by), **more,
    }  # fmt: skip


def parallel_reason(why: str = "A test of its own") -> dict[str, str]:
    """The extension that says why there is another referral of this member for this service."""
    return {"url": words.PARALLEL_REFERRAL_REASON, "valueString": why}


def instead(of: str, reason: str = "no-answer") -> dict[str, Any]:
    """The extension of a Task that takes the place of the Task of this id."""
    coding = {"system": words.REASSIGNMENT_REASONS, "code": reason}
    parts = [{"url": "replaces", "valueReference": {"reference": f"Task/{of}"}},
             {"url": "reason", "valueCoding": coding}]  # fmt: skip
    return {"url": words.REASSIGNMENT, "extension": parts}


def said(status: str, at: str, **more: Any) -> dict[str, Any]:
    """The Parameters of an answer that somebody gave by telephone."""
    values = {"valueCode": status}, {"valueString": "Front desk"}, {"valueCode": "phone"}, {"valueDateTime": at}
    parameters = [
        {"name": name, **value} for name, value in zip(("status", "by", "channel", "at"), values, strict=True)
    ]
    for name, value in more.items():
        kind = "valueReference" if isinstance(value, dict) else "valueString" if name == "reason" else "valueCode"
        parameters.append({"name": name, kind: value})
    return {"resourceType": "Parameters", "parameter": parameters}


def task(patient: str, focus: str, by: str, *to: str, parallel: bool = True, **more: Any) -> dict[str, Any]:
    """A requested Task, to one owner or to several candidates; `parallel` says why there may be another."""
    addressed = {"owner": organization(to[0])} if len(to) == 1 else {}
    if len(to) > 1:
        addressed = {"restriction": {"recipient": [organization(name) for name in to]}}
    return {
        "resourceType": "Task", "status": "requested", "intent": "order", "priority": "routine", "code": FULFILL,
        "focus": {"reference": f"ServiceRequest/{focus}"}, "for": {"reference": f"Patient/{patient}"},
        "authoredOn": WHEN, "requester": organization(by), **addressed,
        **({"extension": [parallel_reason()]} if parallel else {}), **more,
    }  # fmt: skip


def made(client: Client, resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as stored."""
    answer = client.post(resource["resourceType"], resource)
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


def sent(world: Scene, patient: str, *to: str, by: str = "clinic", **more: Any) -> dict[str, Any]:
    """A referral to the food pantry, as its requester stored it."""
    client = world.clients[by]
    focus = made(client, request(patient, by))["id"]
    return made(client, task(patient, focus, by, *to, **more))


def moved(client: Client, now: dict[str, Any], status: str, **more: Any) -> Any:
    """The answer to a move of a Task, with what the new state needs."""
    change = {**now, "status": status, **more}
    change.pop("statusReason", None)
    if status in EXPLAINED:
        change["statusReason"] = more.get("statusReason", REASON)
    if status == "completed":
        change.setdefault("output", OUTPUT)
    tag = f'W/"{now["meta"]["versionId"]}"'
    return client.put(f"Task/{now['id']}", change, headers={"If-Match": tag})


def walked(world: Scene, now: dict[str, Any], *moves: tuple[str, str]) -> dict[str, Any]:
    """The Task after these moves of (organization, status)."""
    for name, status in moves:
        answer = moved(world.clients[name], now, status)
        assert answer.status_code == 200, (name, status, answer.text)
        now = answer.json()
    return now


def loop(now: dict[str, Any]) -> list[str]:
    """The codes of a Task's businessStatus."""
    return [coding["code"] for coding in now.get("businessStatus", {}).get("coding", [])]


def loop_date(now: dict[str, Any]) -> str:
    """When the referral status was reached."""
    (date,) = now["businessStatus"]["extension"]
    return str(date["valueDateTime"])


def issue(answer: Any) -> tuple[int, str]:
    """Status and first issue code of a refusal."""
    return answer.status_code, answer.json()["issue"][0]["code"]
