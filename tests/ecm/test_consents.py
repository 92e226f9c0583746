"""What a Consent must hold, what a denial ends, and that permits widen nothing yet (row 97, R6, R8, R14)."""

from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm.scene import Scene, row
from tests.ecm.test_import import entries
from tests.ecm.test_rosters import deny

pytestmark = pytest.mark.heavy

PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
RECEIVER = {
    "role": {"coding": [{"system": words.PARTICIPATION_TYPE, "code": "IRCP"}]},
    "reference": {"reference": "Organization/plan"},
}


def member(world: Scene, number: int) -> str:
    """A member assigned to the clinic."""
    world.take_in(world.plan, [row(number)], mode="delta")
    return str(world.member(world.clinic, number)["id"])


def permit(patient: str, by: str = "clinic", **more: Any) -> dict[str, Any]:
    """A permit about substance use with every element of 42 CFR 2.31, outside any profile."""
    provision = {
        "type": "permit", "period": {"start": "2026-01-01", "end": "2099-01-01"}, "actor": [RECEIVER],
        "securityLabel": [{"system": words.ACT_CODE, "code": "ETH"}],
        "purpose": [{"system": PURPOSE, "code": "TREAT"}],
    }  # fmt: skip
    return deny(patient, by, provision=provision, **more)


def without(consent: dict[str, Any], path: str) -> dict[str, Any]:
    """The same without the element at this path."""
    head, _, rest = path.partition(".")
    if not rest:
        return {name: value for name, value in consent.items() if name != head}
    return {**consent, head: without(consent[head], rest)}


# 42 CFR 2.31(a): whose, who discloses, who receives, why, until when, right to revoke, form, signature, date
ELEMENTS = (
    "patient", "organization", "provision.actor", "provision.purpose", "provision.period", "policy",
    "sourceAttachment", "performer", "dateTime",
)  # fmt: skip


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("profiled", [True, False])
def test_a_permit_that_lacks_an_element(world: Scene, element: str, profiled: bool):
    """Row 97, line 22: 422, whether or not the Consent falls under the profile; whole it is stored."""
    patient = member(world, 1)
    consent = permit(patient)
    if not profiled:
        consent["category"] = [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}]
    assert world.clinic.post("Consent", consent).status_code == 201
    answer = world.clinic.post("Consent", without(consent, element))
    assert answer.status_code == 422, answer.text
    if not profiled:
        assert answer.json()["issue"][0]["code"] == "business-rule"


def test_an_end_is_a_date_or_an_event(world: Scene):
    """2.31(a)(7): a period without an end needs the condition or event upon which the consent ends."""
    patient = member(world, 2)
    consent = permit(patient)
    consent["category"] = [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}]
    consent["provision"]["period"] = {"start": "2026-01-01"}
    assert world.clinic.post("Consent", consent).status_code == 422
    consent["provision"]["extension"] = [{"url": words.CONSENT_EXPIRATION, "valueString": "End of treatment"}]
    assert world.clinic.post("Consent", consent).status_code == 201


def test_an_active_consent_names_its_patient(world: Scene):
    """Row 97: of whatever kind; a draft may still lack it."""
    consent = deny("x", "clinic")
    consent["category"] = [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}]
    del consent["patient"], consent["performer"]
    answer = world.clinic.post("Consent", consent)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "business-rule")


def test_a_denial_ends_access_at_once(world: Scene):
    """Lines 16, 17: the next request finds nothing; an author keeps its own; revoked, all is back."""
    patient = member(world, 3)
    plan = {"resourceType": "CarePlan", "status": "active", "intent": "plan",
            "subject": {"reference": f"Patient/{patient}"}}  # fmt: skip
    by_plan, own = (client.post("CarePlan", plan).json()["id"] for client in (world.plan, world.clinic))
    group = world.roster(world.plan)["id"]
    assert f"Patient/{patient}" in entries(world.clinic.get(f"Group/{group}").json())
    stored = world.clinic.post("Consent", deny(patient, "clinic"))
    assert stored.status_code == 201, stored.text
    for path in (f"Patient/{patient}", f"CarePlan/{by_plan}", f"Coverage?patient=Patient/{patient}"):
        answer = world.clinic.get(path)
        assert answer.status_code == 404 or "entry" not in answer.json(), path
    assert f"Patient/{patient}" not in entries(world.clinic.get(f"Group/{group}").json())
    assert world.clinic.get(f"CarePlan/{own}").status_code == 200
    assert world.plan.get(f"Patient/{patient}").status_code == 200  # its own record
    revoked = {**stored.json(), "status": "inactive"}
    tag = {"If-Match": stored.headers["ETag"]}
    assert world.clinic.put(f"Consent/{revoked['id']}", revoked, headers=tag).status_code == 200
    assert world.clinic.get(f"Patient/{patient}").status_code == 200


def test_permits_widen_nothing(world: Scene):
    """A permit that names a stranger, and one about substance use, change nobody's view yet."""
    patient = member(world, 4)
    label = {"meta": {"security": [{"system": words.ACT_CODE, "code": "SUD"}]}}
    condition = {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"}, "code": {"text": "x"}}
    secret = world.clinic.post("Condition", {**condition, **label}).json()["id"]
    assert world.plan.get(f"Condition/{secret}").status_code == 404
    to_stranger = {"type": "permit", "actor": [{**RECEIVER, "reference": {"reference": "Organization/stranger"}}]}
    for consent in (permit(patient), deny(patient, "clinic", provision=to_stranger)):
        assert world.clinic.post("Consent", consent).status_code == 201
    assert world.stranger.get(f"Patient/{patient}").status_code == 404
    assert world.plan.get(f"Condition/{secret}").status_code == 404


def test_a_provider_s_consent_reaches_the_plan(world: Scene):
    """R14: a consent that the provider recorded is seen by the plan, unless it speaks of substance use alone."""
    patient = member(world, 5)
    to_plan = {"type": "permit", "actor": [RECEIVER]}
    plain = world.clinic.post("Consent", deny(patient, "clinic", provision=to_plan)).json()["id"]
    about_use = world.clinic.post("Consent", permit(patient)).json()["id"]
    assert world.plan.get(f"Consent/{plain}").status_code == 200
    assert world.plan.get(f"Consent/{about_use}").status_code == 404
    found = world.plan.get(f"Consent?patient=Patient/{patient}").json()["entry"]
    assert [one["resource"]["id"] for one in found] == [plain]


def test_who_may_write_a_consent(world: Scene):
    """R12: any organization with a current relation to the member; nobody else."""
    patient = member(world, 6)
    assert world.clinic.post("Consent", deny(patient, "clinic", provision={"type": "permit"})).status_code == 201
    assert world.plan.post("Consent", deny(patient, "plan", provision={"type": "permit"})).status_code == 201
    for name in ("street", "stranger", "other-plan", "pantry"):
        answer = world.clients[name].post("Consent", deny(patient, name))
        assert answer.status_code == 422, name
        assert "does not exist" not in answer.text or "visible" in answer.text
    assert world.clinic.get(f"Patient/{patient}").status_code == 200


def test_no_consent_is_needed(world: Scene):
    """R16: assignment, care plan and referral work without any Consent."""
    patient = member(world, 7)
    plan = {"resourceType": "CarePlan", "status": "active", "intent": "plan",
            "subject": {"reference": f"Patient/{patient}"}}  # fmt: skip
    assert world.clinic.post("CarePlan", plan).status_code == 201
    assert "entry" not in world.plan.get(f"Consent?patient=Patient/{patient}").json()
