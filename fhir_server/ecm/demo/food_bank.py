"""A member is referred to a food bank, which works with nothing but HTTP requests."""

import requests

from fhir_server.ecm.demo import shapes
from fhir_server.ecm.demo.stage import FOOD_BANK, PROVIDER, Json, Stage, body, codes_of, expect, resources

SEEN_OF_MEMBER = {"resourceType", "id", "meta", "active", "name", "telecom", "address", "birthDate", "communication"}


def provider_refers(stage: Stage) -> None:
    """The provider sends ServiceRequest and Task in one transaction."""
    facts = shapes.service("community-resource", "food-pantry")
    member, need = stage.made["first"], stage.made["care Condition"]
    request = shapes.request(
        "pantry-request", PROVIDER, FOOD_BANK, member, stage.today, reasonReference=[{"reference": need}],
        supportingInfo=[{"reference": need}], **facts,
    )  # fmt: skip
    focus = shapes.urn("pantry-request")
    task = shapes.task("pantry-task", PROVIDER, FOOD_BANK, member, focus, stage.today)
    send(stage, PROVIDER, request, task)
    stage.tell("The clinic refers its first member to a food bank: ServiceRequest and Task, sent at once.")


def send(stage: Stage, who: str, *new: Json) -> None:
    """Create these resources in one transaction and remember what they became."""
    written = body(stage.clients[who].post("", shapes.transaction(*new)), requests.codes.ok)
    for one, entry in zip(new, written["entry"], strict=True):
        made = entry["response"]["location"].split("/_history")[0].split("/")[-2:]
        stage.made[one["identifier"][0]["value"]] = "/".join(made)


def food_bank_opens_inbox(stage: Stage) -> None:
    """The food bank finds the Task, what is asked for, and whom to call; no CIN, no diagnosis beyond the one shared."""
    headers = {"Authorization": f"Bearer {stage.clients[FOOD_BANK].token()}"}
    query = {"owner": f"Organization/{FOOD_BANK}", "status": "requested", "_include": ["Task:focus", "Task:patient"]}
    answer = requests.get(f"{stage.base}/Task", params=query, headers=headers, timeout=30)
    inbox = {one["resourceType"]: one for one in resources(body(answer, requests.codes.ok))}
    expect(set(inbox) == {"Task", "ServiceRequest", "Patient"}, "the inbox shows the Task, the request and the member")
    member = inbox["Patient"]
    expect(set(member) <= SEEN_OF_MEMBER, "of the member the food bank sees the contact view alone")
    expect("name" in member, "the food bank knows whom to call")
    statuses = [_status(stage, headers, stage.made[name]) for name in ("care Condition", "second", "care Goal")]
    expect(statuses == [200, 404, 404], "of the record the food bank reads the need alone, and no other member")
    stage.tell("The food bank sees the Task, the request, the need it serves, and name and ways to reach the member;")
    stage.tell("no CIN, no gender, no goals, no other member.")


def _status(stage: Stage, headers: dict[str, str], path: str) -> int:
    return requests.get(f"{stage.base}/{path}", headers=headers, timeout=30).status_code


def food_bank_accepts_and_completes(stage: Stage) -> None:
    """Accepted, then completed with an output; a completion without one, and a stale version, are refused."""
    url = f"{stage.base}/{stage.made['pantry-task']}"
    headers = {"Authorization": f"Bearer {stage.clients[FOOD_BANK].token()}"}
    first = requests.get(url, headers=headers, timeout=30)
    accepted = _put(url, {**first.json(), "status": "accepted"}, headers, first.headers["ETag"])
    expect(accepted.status_code == requests.codes.ok, "the food bank accepts")
    stale = _put(url, {**first.json(), "status": "accepted"}, headers, first.headers["ETag"])
    expect(stale.status_code == requests.codes.precondition_failed, "a write on an old version is refused (412)")
    task = {**accepted.json(), "status": "completed"}
    empty = _put(url, task, headers, accepted.headers["ETag"])
    expect(empty.status_code == requests.codes.unprocessable_entity, "a completion without output is refused (422)")
    stage.tell("It accepts. A completion that does not say what was done is refused (422), a stale version too (412).")
    task["output"] = shapes.done("First box of groceries handed over")
    done = _put(url, task, headers, accepted.headers["ETag"])
    expect(done.status_code == requests.codes.ok, "the food bank completes")
    stage.tell("It completes, with what was done. The server closes the loop: services received.")


def _put(url: str, task: Json, headers: dict[str, str], etag: str) -> requests.Response:
    return requests.put(url, json=task, headers={**headers, "If-Match": etag}, timeout=30)


def provider_sees_loop_closed(stage: Stage) -> None:
    """The provider reads the closure, and every step with its time in the history."""
    task = stage.get(PROVIDER, stage.made["pantry-task"])
    told = codes_of(task.get("businessStatus"))
    expect({"loop-closed", "services-received"} <= told, "the provider reads that the loop is closed")
    history = [one["status"] for one in stage.found(PROVIDER, f"{stage.made['pantry-task']}/_history")]
    expect(history == ["completed", "accepted", "requested"], "the history shows every step, the newest first")
    stage.tell(f"The clinic reads it, and how it came about: {' <- '.join(history)}.")
