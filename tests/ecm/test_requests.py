"""Requests from anybody reach the plan blindly; the plan's steps have clocks and states, and follow each other."""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.operations.submit_request import OPERATION
from fhir_server.ecm.requests.steps import MOVES, table
from fhir_server.smart import clients
from tests.ecm.referral import issue, made, organization
from tests.ecm.scene import Scene, cin, row

pytestmark = pytest.mark.heavy

BORN = "1984-05-02"
ECM = {"system": words.SERVICES, "code": "enhanced-care-management"}
MEALS = {"system": words.COMMUNITY_SUPPORTS, "code": "medically-tailored-meals"}


@pytest.fixture(scope="module", autouse=True)
def _members(world: Scene) -> None:
    """Members of the plan, assigned to the clinic."""
    world.take_in(world.plan, [row(number) for number in range(1, 9)], mode="delta")
    engine = world.server.engine
    engine.settings = replace(engine.settings, submissions_per_minute=1000)


def submission(number: int, service: dict[str, str] = ECM, **more: Any) -> dict[str, Any]:
    """The Parameters of a request for the member of this number."""
    member = {"family": "Family", "given": "Given", "birth-date": more.pop("born", BORN), "cin": cin(number)}
    parts = [{"name": name, "valueDate" if name == "birth-date" else "valueString": text}
             for name, text in member.items()]  # fmt: skip
    asker = [{"name": "relation", "valueCode": "family"}, {"name": "name", "valueString": "A sister"}]
    return {"resourceType": "Parameters", "parameter": [
        {"name": "plan", "valueReference": organization(more.pop("plan", "plan"))},
        {"name": "service", "valueCoding": service}, {"name": "member", "part": parts},
        {"name": "asked-by", "part": asker},
        *({"name": name.replace("_", "-"), **value} for name, value in more.items()),
    ]}  # fmt: skip


def submitted(client: Any, *given: Any, **more: Any) -> str:
    """The receipt of a request."""
    answer = client.post("ServiceRequest/$submit-request", submission(*given, **more))
    assert answer.status_code == 200, answer.text
    (receipt,) = answer.json()["parameter"]
    assert set(receipt) == {"name", "valueString"}
    return str(receipt["valueString"])


def found(client: Any, search: str) -> list[dict[str, Any]]:
    """What a search finds."""
    answer = client.get(search)
    assert answer.status_code == 200, answer.text
    return [one["resource"] for one in answer.json().get("entry", [])]


def request_of(world: Scene, receipt: str) -> dict[str, Any]:
    """The request behind a receipt, as the plan finds it."""
    (request,) = found(world.plan, f"ServiceRequest?identifier={words.RECEIPT}|{receipt}")
    return request


def steps(world: Scene, request: dict[str, Any], code: str) -> list[dict[str, Any]]:
    """The plan's steps of one kind for a request."""
    return found(world.plan, f"Task?based-on=ServiceRequest/{request['id']}&code={words.STEPS}|{code}")


def due(task: dict[str, Any]) -> datetime:
    """When a step is due."""
    (date,) = [one["valueDateTime"] for one in task["extension"] if one["url"] == words.DUE_BY]
    return datetime.fromisoformat(date)


def ended(client: Any, task: dict[str, Any], outcome: str = "", status: str = "completed", **more: Any) -> Any:
    """The answer to ending a step."""
    said = {"businessStatus": {"coding": [{"system": words.STEP_OUTCOMES, "code": outcome}]}} if outcome else {}
    tag = {"If-Match": f'W/"{task["meta"]["versionId"]}"'}
    return client.put(f"Task/{task['id']}", {**task, "status": status, **said, **more}, headers=tag)


def begun(client: Any, patient: str, by: str, code: str, **more: Any) -> Any:
    """The answer to beginning a step."""
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "authoredOn": "2026-11-20",
            "code": {"coding": [{"system": words.STEPS, "code": code}]}, "for": {"reference": f"Patient/{patient}"},
            "requester": organization(by), "owner": organization("plan"), **more}  # fmt: skip
    return client.post("Task", task)


ASSIGNMENT = [
    {"type": {"text": "provider"}, "valueReference": organization("shelter")},
    {"type": {"text": "basis"}, "valueCodeableConcept": {"coding": [{"system": words.BASES, "code": "best-fit"}]}},
]


def test_a_blind_request_gets_a_receipt_and_nothing_else(world: Scene):
    """R: no read access gained; a member the plan knows, one it does not, and a wrong birth date look the same."""
    before = world.counts()["share"]
    receipts = [
        submitted(world.pantry, 1), submitted(world.pantry, 999), submitted(world.pantry, 1, born="1999-01-01"),
        submitted(world.stranger, 1, MEALS),
    ]  # fmt: skip
    assert len(set(receipts)) == 4
    requests = [request_of(world, one) for one in receipts]
    assert ["reference" in one["subject"] for one in requests] == [True, False, False, True]
    assert requests[0]["requester"] == organization("pantry")
    for client in (world.pantry, world.stranger):
        for request in requests:
            assert client.get(f"ServiceRequest/{request['id']}").status_code == 404
        assert found(client, "ServiceRequest") == found(client, "Task") == found(client, "Patient") == []
        assert client.get(f"ServiceRequest?identifier={receipts[0]}").json().get("entry") is None
    assert [len(steps(world, one, "authorize")) for one in requests] == [1, 0, 0, 1]
    assert [len(steps(world, one, "identify")) for one in requests] == [0, 1, 1, 0]
    (step,) = steps(world, requests[0], "authorize")
    assert {one["type"]["text"]: one.get("valueString") for one in step["input"]}["asked by: name"] == "A sister"
    assert found(world.other_plan, f"ServiceRequest?identifier={receipts[0]}") == []
    owner_only = world.counts()["share"] - before
    assert owner_only == 4  # each Task with the plan itself, and nobody else


def test_a_request_that_nobody_could_act_on(world: Scene):
    """400 for an unknown plan, service, priority, relation or CIN; what is about the member changes nothing."""
    wrong: list[dict[str, Any]] = [
        submission(1, plan="nowhere"), submission(1, {"system": "urn:x", "code": "y"}),
        submission(1, priority={"valueCode": "soon"}),
        submission(1, preferred_provider={"valueReference": {"reference": "Patient/1"}}),
    ]  # fmt: skip
    bad_cin = submission(1)
    bad_cin["parameter"][2]["part"][3]["valueString"] = "123"
    bad_relation = submission(1)
    bad_relation["parameter"][3]["part"][0]["valueCode"] = "king"
    for body in (*wrong, bad_cin, bad_relation):
        answer = world.pantry.post("ServiceRequest/$submit-request", body)
        assert answer.status_code == 400, answer.text
    reader = world.server.client("reader", "Organization/pantry", law_class="non-hipaa", scopes="system/*.rs")
    assert reader.post("ServiceRequest/$submit-request", submission(1)).status_code == 403


def test_who_is_asked_is_a_plan(world: Scene):
    """A provider, a stranger, a plan whose client was ended: nobody who could not act on a request gets one."""
    before = world.counts()["res"]
    world.server.client("former", "Organization/shelter", rights="assign")
    clients.deactivate(world.server.engine.database, "former")
    for who in ("clinic", "stranger", "pantry", "shelter"):
        answer = world.pantry.post("ServiceRequest/$submit-request", submission(1, plan=who))
        assert issue(answer) == (400, "value"), (who, answer.text)
        assert "must be a plan" in answer.text
    assert world.counts()["res"] == before


def test_a_client_submits_so_often_and_no_more(world: Scene):
    """429 with Retry-After, the same for known and unknown members; counted per client, for others nothing changes."""
    few, other = (world.server.client(name, "Organization/pantry", law_class="non-hipaa") for name in ("few", "other"))
    engine = world.server.engine
    usual = engine.settings
    engine.settings = replace(usual, submissions_per_minute=2)
    try:
        for number in (1, 999):
            submitted(few, number)
        before = world.counts()["res"]
        refused = [few.post("ServiceRequest/$submit-request", submission(number)) for number in (1, 999)]
        assert [issue(one) for one in refused] == [(429, "throttled")] * 2
        assert refused[0].json() == refused[1].json()
        assert all(1 <= int(one.headers["Retry-After"]) <= 60 for one in refused)
        submitted(other, 1)
        engine.settings = replace(usual, submissions_per_minute=9, submissions_per_day=2)
        late = few.post("ServiceRequest/$submit-request", submission(1))
        assert 86_000 < int(late.headers["Retry-After"]) <= 86_400
        assert world.counts()["res"] == before + 2  # what the pantry asked for: the request and its first step
    finally:
        engine.settings = usual


def test_the_time_of_an_answer_tells_nothing(world: Scene):
    """F10: answers leave on a beat that is longer than the work for a known member, and for an unknown one."""
    bodies = [submission(1), submission(998), submission(1, born="1999-01-01")]
    for body in bodies:
        began = time.perf_counter()
        assert world.pantry.post("ServiceRequest/$submit-request", body).status_code == 200
        taken = time.perf_counter() - began
        assert taken % OPERATION.beat < OPERATION.beat / 2, taken
        assert taken >= OPERATION.beat
    alone = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "POST", "url": "ServiceRequest/$submit-request"}, "resource": bodies[0]}]}  # fmt: skip
    began = time.perf_counter()
    (entry,) = world.pantry.post("", alone).json()["entry"]
    assert entry["response"]["status"].startswith("200")
    assert time.perf_counter() - began >= OPERATION.beat
    together = {**alone, "type": "transaction"}
    assert issue(world.pantry.post("", together))[0] == 400
    held = world.counts()["res"]
    key = {"Idempotency-Key": "twice"}
    first, second = (world.pantry.post("ServiceRequest/$submit-request", bodies[0], headers=key) for _ in range(2))
    assert first.json() == second.json()
    assert world.counts()["res"] == held + 2


def test_the_clocks_of_authorization(world: Scene):
    """Policy Guide: five working days, 72 hours if urgent; the FAQ: twelve hours for an urgent Community Support."""
    hours = {}
    for service, priority in ((ECM, "routine"), (ECM, "urgent"), (MEALS, "stat")):
        request = request_of(world, submitted(world.pantry, 2, service, priority={"valueCode": priority}))
        (step,) = steps(world, request, "authorize")
        hours[priority] = due(step) - datetime.fromisoformat(step["meta"]["lastUpdated"])
    assert abs(hours["urgent"] - timedelta(hours=72)) < timedelta(seconds=2)
    assert abs(hours["stat"] - timedelta(hours=12)) < timedelta(seconds=2)
    assert timedelta(days=5) < hours["routine"] < timedelta(days=12)


def test_from_request_to_reassessment(world: Scene):
    """Authorized: assign and tell who asked; assigned on a basis: tell the PCP, reassess within a year."""
    preferred = {"valueReference": organization("clinic")}
    request = request_of(world, submitted(world.pantry, 3, preferred_provider=preferred))
    (authorize,) = steps(world, request, "authorize")
    for status, outcome in (("completed", ""), ("completed", "told"), ("in-progress", "authorized"), ("failed", "")):
        assert issue(ended(world.plan, authorize, outcome, status)) == (422, "business-rule"), (status, outcome)
    assert ended(world.plan, authorize, "authorized").status_code == 200
    (assign,), (tell,) = steps(world, request, "assign"), steps(world, request, "tell-requester")
    assert ended(world.plan, tell, "told").status_code == 200
    assert issue(ended(world.plan, assign, "assigned")) == (422, "business-rule")
    assert issue(ended(world.plan, assign, "assigned", output=ASSIGNMENT[:1])) == (422, "business-rule")
    assert issue(ended(world.plan, assign, "assigned", output=ASSIGNMENT)) == (422, "business-rule")  # why not clinic?
    why = {"text": "The clinic has no room until March."}
    done = ended(world.plan, assign, "assigned", output=ASSIGNMENT, statusReason=why)
    assert done.status_code == 200, done.text
    (pcp,), (reassess,) = steps(world, request, "tell-pcp"), steps(world, request, "reassess")
    assert timedelta(days=9) < due(pcp) - datetime.now(due(pcp).tzinfo) < timedelta(days=25)
    assert timedelta(days=364) < due(reassess) - datetime.now(due(reassess).tzinfo) < timedelta(days=367)
    assert pcp["partOf"] == [{"reference": f"Task/{assign['id']}"}]
    assert issue(ended(world.plan, done.json(), "told")) == (422, "business-rule")
    again = ended(world.plan, reassess, "continued")
    assert again.status_code == 200, again.text
    half = next(one for one in steps(world, request, "reassess") if one["status"] == "requested")
    assert timedelta(days=182) < due(half) - datetime.now(due(half).tzinfo) < timedelta(days=185)


def actions(world: Scene, patient: str) -> set[str]:
    """Recipients of Notices of Action about a member."""
    search = f"Communication?subject=Patient/{patient}&category={words.NOTICES}|notice-of-action"
    return {one["recipient"][0]["reference"] for one in found(world.plan, search)}


def test_a_denial_needs_its_reason_and_its_notice(world: Scene):
    """Notice of Action to the member, a step to send it within its clock; who asked blindly is told by the plan."""
    request = request_of(world, submitted(world.pantry, 4))
    (authorize,) = steps(world, request, "authorize")
    assert issue(ended(world.plan, authorize, "not-authorized")) == (422, "business-rule")
    why = {"text": "Enrolled in another program that excludes ECM."}
    assert ended(world.plan, authorize, "not-authorized", statusReason=why).status_code == 200
    assert len(steps(world, request, "notice-of-action")) == 1
    patient = request["subject"]["reference"].partition("/")[2]
    assert actions(world, patient) == {request["subject"]["reference"]}
    assert found(world.pantry, "Communication") == []


def test_a_provider_recommends_and_the_plan_decides(world: Scene):
    """Discontinuation is a recommendation until the decision; then a Notice of Action to both, and the step-down."""
    patient = world.member(world.clinic, 5)["id"]
    task = begun(world.clinic, patient, "clinic", "discontinue")
    assert task.status_code == 201, task.text
    for outcome in ("discontinued", "continued"):
        assert issue(ended(world.clinic, task.json(), outcome)) == (422, "business-rule")
    why = {"text": "All goals of the care plan are met."}
    decided = ended(world.plan, task.json(), "discontinued", statusReason=why)
    assert decided.status_code == 200, decided.text
    assert world.clinic.get(f"Task/{task.json()['id']}").json()["status"] == "completed"
    assert actions(world, patient) == {f"Patient/{patient}", "Organization/clinic"}
    codes = {one["code"]["coding"][0]["code"] for one in found(world.plan, f"Task?patient=Patient/{patient}")}
    assert {"notice-of-action", "step-down"} <= codes


def test_what_a_part_2_unit_asks_for_stays_labelled(world: Scene):
    """R17: that such a unit asks tells of a substance use disorder: the step and its notices are as sensitive."""
    unit = world.server.client("unit", law_class="part2")
    setup = world.server.client("unit-setup", "Organization/unit", law_class="part2", rights="update-create")
    assert (
        setup.put("Organization/unit", {"resourceType": "Organization", "id": "unit", "name": "Unit"}).status_code
        == 201
    )
    request = request_of(world, submitted(unit, 1))
    (authorize,) = steps(world, request, "authorize")
    assert world.clinic.get(f"Task/{authorize['id']}").status_code == 404
    why = {"text": "Enrolled elsewhere."}
    assert ended(world.plan, authorize, "not-authorized", statusReason=why).status_code == 200
    search = f"Communication?subject={request['subject']['reference']}"
    assert len(found(world.plan, search)) == 1
    assert found(world.clinic, search) == []
    plain = request_of(world, submitted(world.pantry, 1))
    (authorize,) = steps(world, plain, "authorize")
    assert world.clinic.get(f"Task/{authorize['id']}").status_code == 200


def test_who_begins_which_step(world: Scene):
    """The whole table: the plan, the assigned provider, and everybody else; and never for another plan to do."""
    patient = world.member(world.clinic, 6)["id"]
    for code, entry in table().items():
        for who, name in (("plan", "plan"), ("provider", "clinic")):
            answer = begun(world.clients[name], patient, name, code)
            assert answer.status_code == (201 if who in entry["starts"] else 422), (code, who, answer.text)
        for name in ("stranger", "pantry", "other-plan", "street"):
            assert begun(world.clients[name], patient, name, code).status_code == 422, (code, name)
    elsewhere = begun(world.clinic, patient, "clinic", "discontinue", owner=organization("other-plan"))
    assert issue(elsewhere) == (422, "business-rule")
    assert issue(begun(world.clinic, patient, "plan", "discontinue")) == (422, "business-rule")
    assert issue(begun(world.plan, patient, "plan", "no-such-step")) == (422, "business-rule")


STATES = ("requested", "in-progress", "on-hold", "completed", "cancelled", "rejected", "failed")
WAYS: dict[str, tuple[str, ...]] = {
    "requested": (),
    "in-progress": ("in-progress",),
    "on-hold": ("in-progress", "on-hold"),
    "cancelled": ("cancelled",),
}


def brought(world: Scene, *way: str) -> dict[str, Any]:
    """A step that the clinic began and the plan took this way."""
    task = begun(world.clinic, world.member(world.clinic, 7)["id"], "clinic", "change-provider").json()
    for status in way:
        task = ended(world.plan, task, status=status, statusReason={"text": "why"}).json()
    return dict(task)


@pytest.mark.parametrize("name", ["plan", "clinic"])
def test_a_step_never_leaves_its_table(world: Scene, name: str):
    """SD-40 in small: every pair of states, by the plan and by who began it; what is refused changes nothing."""
    for before, way in WAYS.items():
        task = brought(world, *way)
        for after in STATES:
            outcome, who = "kept" if after == "completed" else "", MOVES.get((before, after))
            legal = (before == after != "cancelled") or (who and (name == "plan" or who == "either"))
            moving = brought(world, *way) if legal else task
            answer = ended(world.clients[name], moving, outcome, after, statusReason={"text": "why"})
            assert answer.status_code == (200 if legal else 422), (before, after, answer.text)


def test_the_worklist_of_what_is_due(world: Scene):
    """By due-by and status, for the plan; a date that a client writes does not count, and cannot be changed."""
    patient = world.member(world.clinic, 8)["id"]
    forged = [{"url": words.DUE_BY, "valueDateTime": "2099-01-01T00:00:00Z"}]
    task = begun(world.clinic, patient, "clinic", "change-provider", extension=forged).json()
    days = due(task) - datetime.now(due(task).tzinfo)
    assert timedelta(days=29) < days < timedelta(days=32)
    after = (due(task) + timedelta(days=1)).date().isoformat()
    late = f"Task?code={words.STEPS}|change-provider&status=requested,in-progress,on-hold&due-by=lt{after}"
    assert task["id"] in {one["id"] for one in found(world.plan, late)}
    assert task["id"] not in {one["id"] for one in found(world.plan, late.replace(after, "2026-11-01"))}
    moved = ended(world.plan, task, status="in-progress", extension=forged).json()
    assert due(moved) == due(task)
    assert ended(world.plan, moved, "kept", statusReason={"text": "The member changed their mind."}).status_code == 200
    assert task["id"] not in {one["id"] for one in found(world.plan, late)}
    assert world.plan.delete(f"Task/{task['id']}").status_code == 422
    assert made(world.plan, {"resourceType": "Task", "status": "draft", "intent": "order"})["status"] == "draft"
