"""Nobody widens what it may see by what it writes: Tasks, care teams, coverages, consents, roles."""

from typing import Any

from tests.security.conftest import Exchange
from tests.security.world import (
    attempt,
    care_team,
    changed,
    condition,
    deny,
    listed,
    made,
    name_of,
    organization,
    patient,
    request,
    sees,
    task,
    task_body,
    to,
)  # fmt: skip


def test_a_task_to_oneself_keeps_nothing(exchange: Exchange) -> None:
    """L23, row 24: what a former care team member shared with itself goes with the relation."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    team, finding = care_team(plan, person, clinic), condition(plan, person)
    for more in ({}, {"restriction": {"recipient": [organization(clinic)]}, "owner": None}):
        own = task(clinic, person, None, **{"owner": organization(clinic), "input": listed(finding), **more})
        changed(clinic, own, description="again")
    assert sees(clinic, finding)
    changed(plan, team, status="inactive")
    assert not sees(clinic, finding)
    assert not sees(clinic, person)


def test_a_task_to_another_still_shares(exchange: Exchange) -> None:
    """R5: the same Task to the pantry shows the finding there, and the contact view."""
    plan, pantry = exchange.plan, exchange.pantry
    person = patient(plan)
    finding = condition(plan, person)
    task(plan, person, request(plan, person), owner=organization(pantry), input=listed(finding))
    assert sees(pantry, finding)
    assert sees(pantry, person)


def test_a_coverage_that_names_two_people_ends(exchange: Exchange) -> None:
    """A child's Coverage names a parent as subscriber: it gives the payor access, and takes it away again."""
    plan, payor = exchange.plan, exchange.stranger
    child, parent = patient(plan, "Child"), patient(plan, "Parent")
    finding = condition(plan, child)
    parties = {"beneficiary": to(child), "subscriber": to(parent), "payor": [organization(payor)]}
    coverage = made(plan, {"resourceType": "Coverage", "status": "active", **parties})
    assert sees(payor, finding)
    care_team(plan, child, exchange.clinic)
    coverage = changed(plan, coverage, status="cancelled")
    assert not sees(payor, finding)
    coverage = changed(plan, coverage, status="active")
    assert sees(payor, finding)
    assert plan.delete(name_of(coverage)).status_code == 204
    assert not sees(payor, finding)


def test_a_care_team_with_a_relative_ends(exchange: Exchange) -> None:
    """The same for a CareTeam in which another patient takes part."""
    plan, clinic = exchange.plan, exchange.clinic
    person, relative = patient(plan), patient(plan, "Relative")
    finding = condition(plan, person)
    members = [{"member": to(relative)}, {"member": organization(clinic)}]
    team = care_team(plan, person, participant=members)
    assert sees(clinic, finding)
    assert plan.delete(name_of(team)).status_code == 204
    assert not sees(clinic, finding)


def test_a_role_written_by_another_sends_no_referral_astray(exchange: Exchange) -> None:
    """A PractitionerRole counts where the organization it names wrote it itself."""
    plan, clinic, stranger = exchange.plan, exchange.clinic, exchange.stranger
    person = patient(plan)
    finding = condition(plan, person)
    practitioner = made(stranger, {"resourceType": "Practitioner"})
    role = {"resourceType": "PractitionerRole", "practitioner": to(practitioner), "organization": organization(clinic)}
    false_role, own_role = made(stranger, role), made(clinic, role)
    for of in (
        {"owner": to(false_role)},
        {"owner": None, "restriction": {"recipient": [to(own_role), to(false_role)]}},
    ):
        refused = plan.post("Task", task_body(plan, person, None, input=listed(finding), **of))
        assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "business-rule")
    sent = task(plan, person, None, owner=to(own_role), input=listed(finding))
    assert sees(clinic, finding)
    changed(clinic, own_role, organization=organization(stranger))
    sent = changed(plan, sent, description="again")
    assert not sees(stranger, finding)
    assert not sees(stranger, sent)
    assert not sees(clinic, finding)


def test_a_denial_is_lifted_by_who_recorded_it(exchange: Exchange) -> None:
    """R6: whom a member shuts out cannot let itself in, by any change of the Consent; the recording plan can."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    hiv = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]
    sexual = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SEX"}]
    finding = condition(plan, person, meta={"security": hiv})
    assert sees(clinic, finding)
    consent = deny(plan, person, clinic, securityLabel=hiv)
    assert not sees(clinic, finding)
    assert sees(clinic, consent)
    provision: dict[str, Any] = consent["provision"]
    narrower: list[dict[str, Any]] = [
        {"status": "inactive"},
        {"status": "entered-in-error"},
        {"scope": {"coding": [{"code": "research"}]}},
        {"provision": {**provision, "type": "permit"}},
        {"provision": {**provision, "securityLabel": sexual}},
        {"provision": {**provision, "period": {"end": "2020-01-01"}}},
        {"provision": {**provision, "period": {"start": "2090-01-01"}}},
        {"provision": {**provision, "purpose": [{"code": "HPAYMT"}]}},
        {"provision": {**provision, "actor": [{**provision["actor"][0], "reference": organization(exchange.pantry)}]}},
    ]
    for change in narrower:
        refused = attempt(clinic, consent, **change)
        assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "business-rule"), change
        assert not sees(clinic, finding)
    wider = changed(clinic, consent, provision={**provision, "securityLabel": hiv + sexual})
    assert not sees(clinic, finding)
    changed(plan, wider, status="inactive")
    assert sees(clinic, finding)


def test_a_denial_of_everything_is_not_lifted_by_patch(exchange: Exchange) -> None:
    """The same by JSON Patch; and nobody but its owner deletes a Consent."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    consent = deny(plan, person, exchange.stranger)
    tag = {"If-Match": f'W/"{consent["meta"]["versionId"]}"'}
    steps = [{"op": "replace", "path": "/status", "value": "inactive"}]
    assert clinic.patch(name_of(consent), steps, headers=tag).status_code == 422
    assert clinic.delete(name_of(consent)).status_code == 422
    assert plan.patch(name_of(consent), steps, headers=tag).status_code == 200


def test_a_part_2_unit_sees_the_referral_it_works_on(exchange: Exchange) -> None:
    """R17 and R5: what a Part 2 unit writes in a Task raises its labels, and not above the unit itself."""
    unit, plan, clinic = exchange.join("unit", "part2"), exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    sent = task(plan, person, request(plan, person), owner=organization(unit))
    assert sees(clinic, sent)
    sent = changed(unit, sent, status="accepted")
    assert sees(unit, sent)
    assert not sees(clinic, sent)
    sent = changed(plan, sent, description="from the plan")
    assert sees(unit, sent)
    changed(unit, sent, status="in-progress")
    assert sees(unit, sent)
    assert sees(plan, sent)
