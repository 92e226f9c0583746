"""What a referral shows to whom, and for how long (R5; truth table lines 11, 12, 15)."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm import referral
from tests.ecm.referral import made, moved, sent, walked
from tests.ecm.scene import Scene, cin, row

pytestmark = pytest.mark.heavy

GRACE = 30 * 86_400_000
CONTACT = {
    "resourceType",
    "id",
    "meta",
    "name",
    "telecom",
    "address",
    "birthDate",
    "communication",
    "contact",
    "active",
}


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member of the plan, assigned to the clinic."""
    world.take_in(world.plan, [row(1), row(2, "street"), row(3)], mode="delta")
    return str(world.member(world.clinic, 1)["id"])


def condition(world: Scene, patient: str, by: str = "clinic", **more: Any) -> str:
    """A Condition of this patient."""
    resource = {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"}, "code": {"text": "x"}}
    return str(made(world.clients[by], {**resource, **more})["id"])


def shown(world: Scene, name: str, patient: str) -> set[str]:
    """References of everything that this organization finds of a patient, by every search that could find it."""
    found: set[str] = set()
    for type_, param in (
        ("Patient", "_id"), ("Task", "patient"), ("ServiceRequest", "patient"), ("Condition", "patient"),
        ("Coverage", "patient"), ("CareTeam", "patient"), ("CarePlan", "patient"), ("Provenance", "patient"),
        ("Group", "member"), ("Encounter", "patient"), ("Consent", "patient"),
    ):  # fmt: skip
        value = patient if param == "_id" else f"Patient/{patient}"
        answer = world.clients[name].get(f"{type_}?{param}={value}")
        assert answer.status_code == 200, answer.text
        found |= {f"{type_}/{one['resource']['id']}" for one in answer.json().get("entry", [])}
    return found


def test_what_a_community_organization_sees(world: Scene, patient: str):
    """Lines 11, 12: Task, ServiceRequest, contact view and what is listed; nothing else of the patient."""
    listed, unlisted = condition(world, patient), condition(world, patient)
    focus = made(
        world.clinic,
        referral.request(patient, "clinic", supportingInfo=[{"reference": f"Condition/{listed}"}]),
    )["id"]
    now = made(world.clinic, referral.task(patient, focus, "clinic", "pantry"))
    expected = {f"Task/{now['id']}", f"ServiceRequest/{focus}", f"Patient/{patient}", f"Condition/{listed}"}
    assert shown(world, "pantry", patient) == expected
    assert world.pantry.get(f"Condition/{unlisted}").status_code == 404
    for wrong in ("kitchen", "meals", "stranger", "other-plan", "street"):
        assert shown(world, wrong, patient) == set(), wrong
        for reference in expected:
            assert world.clients[wrong].get(reference).status_code == 404
            assert world.clients[wrong].get(f"{reference}/_history").status_code == 404
            assert world.clients[wrong].get(f"{reference}/_history/1").status_code == 404


def test_the_contact_view(world: Scene, patient: str):
    """No CIN, no identifier, no gender, in no form and by no search."""
    sent(world, patient, "meals")
    seen = world.meals.get(f"Patient/{patient}")
    assert set(seen.json()) <= CONTACT
    assert seen.json()["name"][0]["family"] == "Family1"
    for text in (cin(1), "M000001", "gender", "identifier", "managingOrganization", "extension"):
        assert text not in seen.text, text
    for path in (f"Patient/{patient}/_history", f"Patient/{patient}/_history/1", "Task?_include=Task:patient"):
        assert cin(1) not in world.meals.get(path).text
    whole = world.clinic.get(f"Patient/{patient}").json()
    for criteria in (
        f"identifier={words.CIN}|{cin(1)}", f"identifier={cin(1)}", f"gender={whole['gender']}",
        "organization=Organization/plan", "general-practitioner:missing=true&gender:missing=false",
    ):  # fmt: skip
        assert "entry" not in world.meals.get(f"Patient?{criteria}").json(), criteria
        assert world.clinic.get(f"Patient?{criteria}").json().get("entry") or "missing" in criteria
    chained = world.meals.get(f"Task?patient.identifier={words.CIN}|{cin(1)}").json()
    assert "entry" not in chained
    assert len(world.meals.get("Patient?family=Family1").json()["entry"]) == 1


def test_only_what_the_requester_sees_is_shared(world: Scene, patient: str):
    """L23: nobody passes on what it was only shown, nor another member's information."""
    other = world.member(world.plan, 2)["id"]
    secret = condition(world, other, "plan")
    focus = referral.request(patient, "clinic", supportingInfo=[{"reference": f"Condition/{secret}"}])
    assert world.clinic.post("ServiceRequest", focus).status_code == 422
    by_plan = referral.request(patient, "plan", supportingInfo=[{"reference": f"Condition/{secret}"}])
    mixed = made(world.plan, by_plan)["id"]
    made(world.plan, referral.task(patient, mixed, "plan", "kitchen"))
    assert world.kitchen.get(f"ServiceRequest/{mixed}").status_code == 200
    assert world.kitchen.get(f"Condition/{secret}").status_code == 404
    assert world.kitchen.get(f"Patient/{other}").status_code == 404


def test_a_receiver_cannot_refer_on(world: Scene):
    """L23: what a community organization was shown it cannot show to another one."""
    world.take_in(world.plan, [row(40)], mode="delta")
    patient = world.member(world.clinic, 40)["id"]
    now = sent(world, patient, "pantry")
    focus = now["focus"]["reference"]
    answer = world.pantry.post("Task", referral.task(patient, focus.split("/")[1], "pantry", "kitchen"))
    assert answer.status_code in {201, 422}, answer.text
    assert world.kitchen.get(focus).status_code == 404
    assert world.kitchen.get(f"Patient/{patient}").status_code == 404
    assert shown(world, "kitchen", patient) <= {f"Task/{answer.json()['id']}"}


def test_labels_stay_behind(world: Scene, patient: str):
    """Line 13: listed information with a class that the receiver's mask does not reach is not shown."""
    label = {"security": [{"system": words.ACT_CODE, "code": "BH"}]}
    listed = condition(world, patient, meta=label)
    focus = made(
        world.clinic,
        referral.request(patient, "clinic", supportingInfo=[{"reference": f"Condition/{listed}"}]),
    )["id"]
    made(world.clinic, referral.task(patient, focus, "clinic", "pantry"))
    assert world.pantry.get(f"ServiceRequest/{focus}").status_code == 200
    assert world.pantry.get(f"Condition/{listed}").status_code == 404


def test_a_claim_ends_the_others(world: Scene):
    """SD-41: from the accept on the other candidates find none of it: Task, ServiceRequest, contact view."""
    patient = world.member(world.clinic, 3)["id"]
    now = sent(world, patient, "pantry", "meals")
    assert len(shown(world, "meals", patient)) == 3
    accepted = moved(world.pantry, now, "accepted", owner=referral.organization("pantry"))
    assert accepted.status_code == 200, accepted.text
    assert shown(world, "meals", patient) == set()
    for reference in (f"Task/{now['id']}", now["focus"]["reference"], f"Patient/{patient}"):
        assert world.meals.get(reference).status_code == 404
        assert world.pantry.get(reference).status_code == 200
    walked(world, accepted.json(), ("clinic", "cancelled"))


@pytest.fixture
def back(world: Scene) -> Iterator[None]:
    """The clock as it was, after a test that moved it."""
    yield
    world.move_clock(-world.ahead)


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
@pytest.mark.usefixtures("back")
def test_after_the_end(world: Scene, end: str):
    """Line 15: what was shared is seen until the grace is over, and then not at all; the requester keeps the story."""
    number = {"completed": 31, "failed": 32, "cancelled": 33}[end]
    world.take_in(world.plan, [row(number)], mode="delta")
    patient = world.member(world.clinic, number)["id"]
    now = walked(world, sent(world, patient, "pantry"), ("pantry", "accepted"), ("pantry", end))
    assert len(shown(world, "pantry", patient)) == 3
    world.move_clock(GRACE - 60_000)
    assert len(shown(world, "pantry", patient)) == 3
    world.move_clock(120_000)
    assert shown(world, "pantry", patient) == set()
    assert world.pantry.get(f"Task/{now['id']}").status_code == 404
    history = world.clinic.get(f"Task/{now['id']}/_history").json()["entry"]
    assert [one["resource"]["status"] for one in history] == [end, "accepted", "requested"]


@pytest.mark.usefixtures("back")
def test_after_a_no(world: Scene):
    """A referral that was declined shows its Task for the grace, and nothing of the member any more."""
    world.take_in(world.plan, [row(34)], mode="delta")
    patient = world.member(world.clinic, 34)["id"]
    now = walked(world, sent(world, patient, "pantry"), ("pantry", "rejected"))
    assert shown(world, "pantry", patient) == {f"Task/{now['id']}"}
    in_error = walked(world, now, ("clinic", "entered-in-error"))
    assert shown(world, "pantry", patient) == set()
    assert in_error["status"] == "entered-in-error"


def test_what_a_provider_passed_on_leaves_with_it(world: Scene):
    """R5, line 24: a provider dropped by a file takes with it what it showed of others', and leaves what is its own.

    The food bank keeps the referral and the contact view; back on the roster, the provider's word holds again.
    """
    number = 4
    world.take_in(world.plan, [row(number)], mode="delta")
    patient = str(world.member(world.clinic, number)["id"])
    plans, own = condition(world, patient, "plan"), condition(world, patient)
    focus = made(world.clinic, referral.request(patient, "clinic"))["id"]
    inputs = [{"type": {"text": "information"}, "valueReference": {"reference": f"Condition/{one}"}}
              for one in (plans, own)]  # fmt: skip
    task = made(world.clinic, referral.task(patient, focus, "clinic", "pantry", input=inputs))
    task = moved(world.pantry, moved(world.pantry, task, "accepted").json(), "in-progress").json()
    kept = {f"Task/{task['id']}", f"ServiceRequest/{focus}", f"Patient/{patient}", f"Condition/{own}"}
    assert shown(world, "pantry", patient) == kept | {f"Condition/{plans}"}
    world.take_in(world.plan, [row(number, "shelter")], mode="delta")
    assert world.clinic.get(f"Condition/{plans}").status_code == 404
    assert shown(world, "pantry", patient) == kept
    for tail in ("", "/_history", "/_history/1"):
        assert world.pantry.get(f"Condition/{plans}{tail}").status_code == 404
    entries = world.pantry.get(f"Task?_id={task['id']}&_include=*").json()["entry"]
    assert plans not in {entry["resource"]["id"] for entry in entries}
    assert moved(world.pantry, task, "on-hold").status_code == 200  # the pantry's own write keeps nothing alive
    assert shown(world, "pantry", patient) == kept
    world.take_in(world.plan, [row(number)], mode="delta")
    assert shown(world, "pantry", patient) == kept | {f"Condition/{plans}"}


def test_a_denial_to_the_provider_ends_what_it_passed_on(world: Scene, patient: str):
    """R6: whom a member shuts out of a class passes none of it on, though the receiver is not named in the denial."""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    plans = condition(world, patient, "plan", meta={"security": [label]})
    focus = made(
        world.clinic, referral.request(patient, "clinic", supportingInfo=[{"reference": f"Condition/{plans}"}])
    )
    made(world.clinic, referral.task(patient, focus["id"], "clinic", "shelter"))
    assert world.shelter.get(f"Condition/{plans}").status_code == 200
    consent = denial(patient, "clinic", label)
    consent = made(world.plan, consent)
    assert world.clinic.get(f"Condition/{plans}").status_code == 404
    assert world.shelter.get(f"Condition/{plans}").status_code == 404
    assert world.plan.get(f"Condition/{plans}").status_code == 200
    ended = {**consent, "status": "inactive"}
    tag = {"If-Match": f'W/"{consent["meta"]["versionId"]}"'}
    assert world.plan.put(f"Consent/{consent['id']}", ended, headers=tag).status_code == 200
    assert world.shelter.get(f"Condition/{plans}").status_code == 200


def denial(patient: str, to: str, label: dict[str, str]) -> dict[str, Any]:
    """A member's denial of one class to one organization."""
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
    return {
        "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{patient}"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                              "code": "patient-privacy"}]},
        "category": [{"text": "privacy"}], "policyRule": {"text": "policy"},
        "provision": {"type": "deny", "securityLabel": [label],
                      "actor": [{"role": role, "reference": referral.organization(to)}]},
    }  # fmt: skip
