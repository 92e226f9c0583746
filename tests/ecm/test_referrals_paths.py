"""Which way a referral takes: Community Supports through the plan, parts of a whole, no second one, closed loops."""

from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm import referral
from tests.ecm.referral import issue, loop, loop_date, made, moved, sent, walked
from tests.ecm.scene import Scene, row

pytestmark = pytest.mark.heavy

AUTHORIZED = {"system": words.AUTHORIZATION_DECISIONS, "code": "authorized"}


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member of the plan, assigned to the clinic."""
    world.take_in(world.plan, [row(1), row(2)], mode="delta")
    return str(world.member(world.clinic, 1)["id"])


def support(world: Scene, patient: str, by: str = "clinic", **more: Any) -> str:
    """A ServiceRequest for medically tailored meals."""
    return str(made(world.clients[by], referral.request(patient, by, support=True, **more))["id"])


def decision(task: dict[str, Any]) -> dict[str, Any]:
    """The parts of a Task's authorization by their names."""
    (found,) = [one for one in task["extension"] if one["url"] == words.AUTHORIZATION]
    return {part["url"]: next(value for name, value in part.items() if name != "url") for part in found["extension"]}


def authorization(code: str) -> dict[str, Any]:
    """An authorization with this decision."""
    coding = {"system": words.AUTHORIZATION_DECISIONS, "code": code}
    return {"url": words.AUTHORIZATION, "extension": [{"url": "decision", "valueCoding": coding}]}


def test_a_community_support_goes_to_the_plan(world: Scene, patient: str):
    """Not straight to its provider, not to candidates, not to another plan; a community resource goes directly."""
    focus = support(world, patient)
    for to in (("meals",), ("meals", "kitchen"), ("plan", "meals"), ("other-plan",)):
        answer = world.clinic.post("Task", referral.task(patient, focus, "clinic", *to))
        assert issue(answer) == (422, "business-rule"), to
        assert answer.json()["issue"][0]["expression"] == ["Task.owner"]
    assert made(world.clinic, referral.task(patient, focus, "clinic", "plan"))["status"] == "requested"
    assert sent(world, patient, "pantry")["status"] == "requested"
    own = support(world, patient, "plan")
    assert made(world.plan, referral.task(patient, own, "plan", "meals"))["status"] == "requested"


def test_the_plan_authorizes_or_denies(world: Scene, patient: str):
    """The decision is on record with its date; one that says otherwise, or is another's, is refused."""
    focus = support(world, patient)
    asked = made(world.clinic, referral.task(patient, focus, "clinic", "plan"))
    denied = authorization("not-authorized")
    assert issue(moved(world.plan, asked, "accepted", extension=[denied])) == (422, "business-rule")
    assert issue(moved(world.clinic, asked, "requested", extension=[authorization("authorized")])) == (
        422, "business-rule",
    )  # fmt: skip
    yes = moved(world.plan, asked, "accepted").json()
    assert decision(yes)["decision"] == AUTHORIZED
    assert len(decision(yes)["date"]) == 10
    assert world.clinic.get(f"Task/{asked['id']}").json() == yes
    asked = made(world.clinic, referral.task(patient, focus, "clinic", "plan"))
    assert moved(world.plan, asked, "rejected", statusReason={"coding": []}).status_code in {400, 422}
    no = moved(world.plan, asked, "rejected").json()
    assert decision(no)["decision"]["code"] == "not-authorized"
    new = referral.task(patient, focus, "clinic", "plan")
    new["extension"].append(authorization("authorized"))
    assert issue(world.clinic.post("Task", new)) == (422, "business-rule")


def child(patient: str, parent: dict[str, Any], focus: str, by: str = "plan", to: str = "meals") -> dict[str, Any]:
    """A Task that is part of another."""
    return referral.task(patient, focus, by, to, partOf=[{"reference": f"Task/{parent['id']}"}])


def test_parent_and_child(world: Scene, patient: str):
    """SD-43: the plan, owner of the parent, passes it on by a filler-order; a no lets it try another provider."""
    focus = support(world, patient)
    asked = made(world.clinic, referral.task(patient, focus, "clinic", "plan"))
    based = {"basedOn": [{"reference": f"ServiceRequest/{focus}"}], "intent": "filler-order"}
    filler = support(world, patient, "plan", **based)
    assert issue(world.plan.post("Task", child(patient, asked, filler))) == (422, "business-rule")  # not accepted yet
    parent = moved(world.plan, asked, "accepted").json()
    by_clinic = support(world, patient, **based)
    for client, new in (
        (world.clinic, child(patient, parent, by_clinic, by="clinic")),
        (world.plan, child(patient, parent, support(world, patient, "plan"))),
        (world.plan, child(patient, parent, support(world, patient, "plan", **{**based, "intent": "order"}))),
        (world.plan, child(patient, parent, filler) | {"partOf": [{"reference": f"Task/{parent['id']}"}] * 2}),
    ):
        assert issue(client.post("Task", new)) == (422, "business-rule"), new
    first = made(world.plan, child(patient, parent, filler))
    assert world.meals.get(f"Task/{parent['id']}").status_code == 404
    assert moved(world.meals, first, "rejected").status_code == 200
    second = made(world.plan, child(patient, parent, filler, to="kitchen"))
    walked(world, second, ("kitchen", "accepted"), ("kitchen", "in-progress"))
    assert world.clinic.get(f"Task/{parent['id']}").json()["status"] == "accepted"


def test_a_referral_in_one_bundle_with_its_request(world: Scene, patient: str):
    """B-60: the Task by POST, its ServiceRequest by PUT, in any order; without the request nothing is stored."""
    loader = world.server.client("loader", organization="Organization/clinic", rights="update-create")
    for name, order in (("req-a", 1), ("req-b", -1)):
        request = {**referral.request(patient, "clinic"), "id": name}
        put = {"resource": request, "request": {"method": "PUT", "url": f"ServiceRequest/{name}"}}
        task = referral.task(patient, name, "clinic", "pantry")
        post = {"resource": task, "request": {"method": "POST", "url": "Task"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [post, put][::order]}
        answer = loader.post("", bundle)
        assert answer.status_code == 200, answer.text
        assert loader.get(f"Task?focus=ServiceRequest/{name}").json()["entry"][0]["resource"]["status"] == "requested"
    get = {"request": {"method": "GET", "url": f"Patient/{patient}"}}
    lost = {**post, "resource": referral.task(patient, "req-c", "clinic", "pantry")}
    refused = loader.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [lost, get]})
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"][0].startswith("Bundle.entry[0]")


def test_a_denied_support_is_not_passed_on(world: Scene, patient: str):
    """While the decision is pending there is no child either."""
    focus = support(world, patient)
    asked = made(world.clinic, referral.task(patient, focus, "clinic", "plan"))
    pending = moved(world.plan, asked, "accepted", extension=[authorization("pending")])
    assert pending.status_code == 200, pending.text
    based = {"basedOn": [{"reference": f"ServiceRequest/{focus}"}], "intent": "filler-order"}
    new = child(patient, asked, support(world, patient, "plan", **based))
    assert issue(world.plan.post("Task", new)) == (422, "business-rule")
    decided = moved(world.plan, pending.json(), "accepted", extension=[authorization("authorized")])
    assert decided.status_code == 200
    assert made(world.plan, new)["status"] == "requested"


def test_one_patient(world: Scene, patient: str):
    """The Task is about whom its ServiceRequest is about."""
    other = world.member(world.clinic, 2)["id"]
    focus = made(world.clinic, referral.request(other, "clinic"))["id"]
    assert issue(world.clinic.post("Task", referral.task(patient, focus, "clinic", "pantry"))) == (422, "business-rule")
    hidden = made(world.plan, referral.request(patient, "plan"))["id"]
    answer = world.street.post("Task", referral.task(patient, hidden, "street", "pantry"))
    assert answer.status_code == 422  # neither the request nor the member can be seen


# ---- duplicates ---------------------------------------------------------------------------------------------------


def test_a_duplicate_is_named(world: Scene):
    """Design, section 8: 422 naming the open one, by whoever it was sent; with a reason it passes."""
    patient = world.member(world.clinic, 2)["id"]
    first = sent(world, patient, "pantry", parallel=False)
    for name, to in (("clinic", "meals"), ("plan", "kitchen")):
        focus = made(world.clients[name], referral.request(patient, name))["id"]
        second = referral.task(patient, focus, name, to, parallel=False)
        answer = world.clients[name].post("Task", second)
        assert issue(answer) == (422, "business-rule")
        assert f"Task/{first['id']}" in answer.json()["issue"][0]["diagnostics"]
    other = made(world.clinic, referral.request(patient, "clinic", service="clothing-household"))["id"]
    assert made(world.clinic, referral.task(patient, other, "clinic", "meals", parallel=False))
    reason = {"url": words.PARALLEL_REFERRAL_REASON, "valueString": "Two households"}
    focus = made(world.clinic, referral.request(patient, "clinic", extension=[reason]))["id"]
    third = made(world.clinic, referral.task(patient, focus, "clinic", "kitchen", parallel=False))
    walked(world, first, ("pantry", "rejected"))
    walked(world, third, ("clinic", "cancelled"))
    assert sent(world, patient, "meals", parallel=False)


def test_a_draft_is_judged_when_it_is_sent(world: Scene, patient: str):
    """It repeats nothing before, and is repeated by nothing."""
    focus = made(world.clinic, referral.request(patient, "clinic", service="legal-aid"))["id"]
    first = made(world.clinic, referral.task(patient, focus, "clinic", "pantry", parallel=False, status="draft"))
    second = made(world.clinic, referral.task(patient, focus, "clinic", "meals", parallel=False))
    assert issue(moved(world.clinic, first, "requested")) == (422, "business-rule")
    walked(world, second, ("clinic", "cancelled"))
    assert moved(world.clinic, first, "requested").status_code == 200


def test_a_hidden_referral_never_counts(world: Scene):
    """What the caller must not know of is not told by a refusal: two plans, one person, one provider of the first."""
    world.take_in(world.plan, [row(7)], mode="delta")
    world.take_in(world.other_plan, [row(7, "street")], mode="delta")
    mine, theirs = (world.member(client, 7)["id"] for client in (world.clinic, world.street))
    assert mine != theirs
    assert sent(world, mine, "pantry", parallel=False)
    assert sent(world, theirs, "pantry", by="street", parallel=False)


def test_a_hidden_referral_of_the_same_patient(world: Scene):
    """A referral that carries a label the caller's mask does not reach does not exist for it."""
    world.take_in(world.plan, [row(8)], mode="delta")
    patient = world.member(world.clinic, 8)["id"]
    label = {"meta": {"security": [{"system": words.ACT_CODE, "code": "SUD"}]}}
    focus = made(world.plan, referral.request(patient, "plan", **label))["id"]
    secret = made(world.plan, referral.task(patient, focus, "plan", "pantry", parallel=False, **label))
    assert world.clinic.get(f"Task/{secret['id']}").status_code == 404
    assert sent(world, patient, "meals", parallel=False)


# ---- the loop -----------------------------------------------------------------------------------------------------


def closed(reason: str = "services-received", **more: Any) -> dict[str, Any]:
    """A businessStatus that closes the loop."""
    codings = [{"system": words.REFERRAL_STATUSES, "code": "loop-closed"},
               {"system": words.CLOSURE_REASONS, "code": reason}]  # fmt: skip
    return {"coding": codings, **more}


def dated(day: str) -> dict[str, Any]:
    """The extension that dates a businessStatus."""
    return {"extension": [{"url": words.REFERRAL_STATUS_DATE, "valueDateTime": day}]}


def test_the_server_keeps_the_loop_in_step(world: Scene, patient: str):
    """Every state has its referral status, dated, also where nobody says it."""
    now = sent(world, patient, "pantry")
    assert loop(now) == ["pending"]
    for status, codes in (
        ("accepted", ["accepted"]), ("in-progress", ["outreach-initiated"]), ("on-hold", ["outreach-initiated"]),
        ("completed", ["loop-closed", "services-received"]),
    ):  # fmt: skip
        now = walked(world, now, ("pantry", status))
        assert loop(now) == codes, status
        assert loop_date(now)
    unable = {"coding": [{"system": words.CLOSURE_REASONS, "code": "unable-to-reach"}], "text": "Nobody answered"}
    failed = walked(world, sent(world, patient, "pantry"), ("pantry", "accepted"))
    assert loop(moved(world.pantry, failed, "failed", statusReason=unable).json()) == ["loop-closed", "unable-to-reach"]
    declined = walked(world, sent(world, patient, "pantry"), ("pantry", "rejected"))
    assert loop(declined) == ["declined", "provider-declined"]


def test_closing_the_loop_is_not_completing_the_task(world: Scene, patient: str):
    """The closure stays with its reason and date while meals go on, and when they end; it is never reopened."""
    now = sent(world, patient, "pantry")
    for early in ("requested", "accepted"):
        answer = moved(world.pantry, now, early, businessStatus=closed())
        assert issue(answer) == (422, "business-rule"), early
        if early == "requested":
            now = walked(world, now, ("pantry", "accepted"))
    now = walked(world, now, ("pantry", "in-progress"))
    no_reason = {"coding": closed()["coding"][:1]}
    assert moved(world.pantry, now, "in-progress", businessStatus=no_reason).status_code == 422
    assert issue(moved(world.clinic, now, "in-progress", businessStatus=closed())) == (422, "business-rule")
    day = "2026-11-02T10:00:00-08:00"
    now = moved(world.pantry, now, "in-progress", businessStatus={**closed(), **dated(day)}).json()
    assert (now["status"], loop(now), loop_date(now)) == ("in-progress", ["loop-closed", "services-received"], day)
    pending = {"coding": [{"system": words.REFERRAL_STATUSES, "code": "accepted"}]}
    for other in (pending, closed("no-longer-needed")):
        assert issue(moved(world.pantry, now, "in-progress", businessStatus=other)) == (422, "business-rule")
    without = {name: value for name, value in now.items() if name != "businessStatus"}
    now = moved(world.pantry, without, "on-hold").json()
    assert loop_date(now) == day
    later = {**closed(), **dated("2026-11-20T10:00:00-08:00")}
    done = moved(world.pantry, now, "completed", businessStatus=later).json()
    assert (done["status"], loop(done), loop_date(done)) == ("completed", ["loop-closed", "services-received"], day)


def test_the_date_follows_the_status(world: Scene, patient: str):
    """A new status with the old one's date is dated anew; a status that does not fit the state is refused."""
    now = walked(world, sent(world, patient, "pantry"), ("pantry", "accepted"))
    before = {"url": words.REFERRAL_STATUS_DATE, "valueDateTime": "2020-01-01T00:00:00Z"}
    began = {"coding": [{"system": words.REFERRAL_STATUSES, "code": "outreach-initiated"}]}
    now = moved(world.pantry, now, "accepted", businessStatus={"extension": [before], **began}).json()
    assert loop_date(now) == "2020-01-01T00:00:00Z"
    accepted = {"extension": [before], "coding": [{"system": words.REFERRAL_STATUSES, "code": "accepted"}]}
    assert loop_date(moved(world.pantry, now, "accepted", businessStatus=accepted).json()) != "2020-01-01T00:00:00Z"
    now = world.pantry.get(f"Task/{now['id']}").json()
    declined = {"coding": [{"system": words.REFERRAL_STATUSES, "code": "declined"}]}
    assert issue(moved(world.pantry, now, "in-progress", businessStatus=declined)) == (422, "business-rule")


def test_the_plan_closes_the_loop_of_the_parent(world: Scene, patient: str):
    """As its performer, when the provider's services began; the parent stays in progress."""
    focus = support(world, patient)
    parent = made(world.clinic, referral.task(patient, focus, "clinic", "plan"))
    parent = walked(world, parent, ("plan", "accepted"), ("plan", "in-progress"))
    answer = moved(world.plan, parent, "in-progress", businessStatus=closed())
    assert (answer.status_code, answer.json()["status"]) == (200, "in-progress")
    assert loop(world.clinic.get(f"Task/{parent['id']}").json()) == ["loop-closed", "services-received"]


def test_an_order_of_entries_does_not_matter(world: Scene, patient: str):
    """A Bundle may name the Task before its ServiceRequest; the same rules hold."""
    urn = "urn:uuid:8a0fe4b0-6f0a-4a3e-9d3c-1f2b7a1f0a11"

    def bundle(request: dict[str, Any], to: str) -> dict[str, Any]:
        task = {**referral.task(patient, "", "clinic", to), "focus": {"reference": urn}}
        return {"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": task, "request": {"method": "POST", "url": "Task"}},
            {"fullUrl": urn, "resource": request, "request": {"method": "POST", "url": "ServiceRequest"}},
        ]}  # fmt: skip

    meals = referral.request(patient, "clinic", support=True)
    refused = world.clinic.post("", bundle(meals, "meals"))
    assert refused.status_code == 422
    assert "Task.owner" in str(refused.json()["issue"][0])
    stored = world.clinic.post("", bundle(referral.request(patient, "clinic"), "pantry"))
    assert stored.status_code == 200, stored.text
    reference = stored.json()["entry"][1]["response"]["location"].split("/fhir/")[1].split("/_history")[0]
    assert world.pantry.get(reference).status_code == 200
