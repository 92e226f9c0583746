"""Who sees what follows at once from the write that changes it, and several changes at once lose none."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from fhir_server.access.classes import OPEN
from fhir_server.engine.context import Engine
from fhir_server.fhir.errors import FHIRError
from fhir_server.smart import clients, keys
from fhir_server.store.tables import access, directive, rel, share

SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
PATIENT = {"resourceType": "Patient", "name": [{"family": "Rivera"}]}


@pytest.fixture
def known(engine: Engine, org: Callable[..., Any]) -> Callable[..., Any]:
    """Organizations with their registered clients and Organization resources, by name."""
    loader = org("loader", rights=frozenset({"update-create"}))
    for name, law_class in (("plan", "covered"), ("clinic", "covered"), ("pantry", "non-hipaa"), ("second", "covered")):
        clients.register(
            engine.database, client_id=f"{name}-client", name=name, organization=f"Organization/{name}",
            law_class=law_class, scopes="system/*.cruds", now_ms=1, jwks=keys.key_set(keys.generate("ES384")),
        )  # fmt: skip
        loader.create({"resourceType": "Organization", "name": name}, name)
    loader.create({"resourceType": "Organization", "name": "nobody"}, "nobody")
    return lambda name: org(name, law_class="non-hipaa" if name == "pantry" else "covered")


def coverage(patient: Any, payor: str = "clinic", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": patient.reference},
        "payor": [{"reference": f"Organization/{payor}"}],
        **more,
    }


def care_team(patient: Any, *members: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "CareTeam",
        "status": "active",
        "subject": {"reference": patient.reference},
        "participant": [{"member": {"reference": f"Organization/{name}"}} for name in members or ("nobody",)],
        **more,
    }


def consent(patient: Any, effect: str = "deny", status: str = "active", to: str | None = None) -> dict[str, Any]:
    recipient = (
        [{"reference": {"reference": f"Organization/{to}"}, "role": {"coding": [{"code": "IRCP"}]}}] if to else []
    )
    return {
        "resourceType": "Consent",
        "status": status,
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": patient.reference},
        "policyRule": {"text": "x"},
        "provision": {"type": effect, **({"actor": recipient} if recipient else {})},
    }


def rows(engine: Engine, table: Any) -> list[Any]:
    return engine.database.read().execute(select(table)).all()


def test_a_team_member_sees_from_the_very_next_request_and_no_longer_than_it_is_one(known: Callable[..., Any]) -> None:
    """F11: the first request begun after the acknowledgement."""
    plan, clinic = known("plan"), known("clinic")
    patient = plan.create(PATIENT)
    assert not clinic.sees(patient)
    team = plan.create(care_team(patient, "clinic"))
    for _ in range(3):
        assert clinic.sees(patient)
        team = plan.update(team, care_team(patient))
        assert not clinic.sees(patient)
        team = plan.update(team, care_team(patient, "clinic"))
    plan.delete(team)
    assert not clinic.sees(patient)


def test_a_payor_sees_while_the_coverage_is_in_force(known: Callable[..., Any]) -> None:
    plan, second = known("plan"), known("second")
    patient = plan.create(PATIENT)
    made = plan.create(coverage(patient, "second"))
    assert second.sees(patient)
    made = plan.update(made, coverage(patient, "second", status="cancelled"))
    assert not second.sees(patient)
    made = plan.update(made, coverage(patient, "second", period={"start": "2020-01-01", "end": "2021-01-01"}))
    assert not second.sees(patient)
    made = plan.update(made, coverage(patient, "second", period={"start": "2020-01-01"}))
    assert second.sees(patient)
    plan.delete(made)
    assert not second.sees(patient)


def test_a_deny_acts_on_the_next_request_and_its_end_too(known: Callable[..., Any]) -> None:
    """Revocation is effective at once, and nothing has to be rebuilt when it is taken back."""
    plan, clinic, second = known("plan"), known("clinic"), known("second")
    patient = plan.create(PATIENT)
    plan.create(care_team(patient, "clinic", "second"))
    denial = plan.create(consent(patient, to="clinic"))
    assert (clinic.sees(patient), second.sees(patient), plan.sees(patient)) == (False, True, True)
    denial = plan.update(denial, consent(patient, status="inactive", to="clinic"))
    assert clinic.sees(patient)
    denial = plan.update(denial, consent(patient))
    assert (clinic.sees(patient), second.sees(patient), plan.sees(patient)) == (False, False, True)
    plan.delete(denial)
    assert (clinic.sees(patient), second.sees(patient)) == (True, True)


def referral(plan: Any, patient: Any, status: str = "requested", to: str = "pantry") -> tuple[Any, dict[str, Any]]:
    request = plan.create(
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "subject": {"reference": patient.reference},
            "code": {"text": "food"},
        }
    )
    return request, task(patient, request, status, to)


def task(patient: Any, request: Any, status: str, to: str) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "status": status,
        "intent": "order",
        "focus": {"reference": request.reference},
        "for": {"reference": patient.reference},
        "requester": {"reference": "Organization/plan"},
        "owner": {"reference": f"Organization/{to}"},
    }


def test_a_referral_shows_the_task_its_request_and_the_contact_view_alone(known: Callable[..., Any]) -> None:
    """R5: the shares stand in the transaction of the Task, and end with it."""
    plan, pantry = known("plan"), known("pantry")
    patient = plan.create({**PATIENT, "identifier": [{"system": "urn:cin", "value": "90000000A"}]})
    request, asked = referral(plan, patient, status="draft")
    draft = plan.create(asked)
    assert [pantry.sees(one) for one in (draft, request, patient)] == [False] * 3
    made = plan.update(draft, {**asked, "status": "requested"})
    assert pantry.sees(made)
    assert pantry.sees(request)
    assert pantry.read(patient).view == 1
    assert b"90000000A" not in bytes(pantry.read(patient).body)
    assert plan.read(patient).view == 0
    plan.delete(made)
    assert [pantry.sees(one) for one in (made, request, patient)] == [False] * 3


def test_no_rows_outlive_what_gave_them(engine: Engine, known: Callable[..., Any]) -> None:
    plan = known("plan")
    patient = plan.create(PATIENT)
    _, asked = referral(plan, patient)
    made = [plan.create(one) for one in (coverage(patient), care_team(patient, "clinic"), consent(patient), asked)]
    assert all(rows(engine, table) for table in (rel, directive, share))
    for one in made:
        plan.delete(one)
    assert rows(engine, rel) == rows(engine, directive) == []
    assert [row for row in rows(engine, share) if row.until == OPEN] == []
    assert {row.org for row in rows(engine, access)} <= {plan.who.org_hash}


def test_a_refused_write_changes_nobody_s_access(engine: Engine, known: Callable[..., Any]) -> None:
    """P2: the access rows stand or fall with the write."""
    plan, clinic = known("plan"), known("clinic")
    patient = plan.create(PATIENT)
    before = rows(engine, rel), rows(engine, access)
    with pytest.raises(FHIRError):
        plan.create(coverage(patient, payor="nobody-registered"))
    assert (rows(engine, rel), rows(engine, access)) == before
    assert not clinic.sees(patient)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    barrier, failures = threading.Barrier(len(works)), []

    def one(work: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=one, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_a_deny_that_races_with_other_changes_always_wins(engine: Engine, known: Callable[..., Any]) -> None:
    """P7: two transactions that change one patient's access see each other's rows, whichever comes first."""
    plan, clinic, second = known("plan"), known("clinic"), known("second")
    for turn in range(15):
        patient = plan.create(PATIENT)
        team = plan.create(care_team(patient, "clinic"))
        failures = at_once(
            lambda patient=patient: plan.create(consent(patient)),
            lambda patient=patient: plan.create(coverage(patient, "second")),
            lambda patient=patient, team=team: plan.update(team, care_team(patient, "clinic", "second")),
        )
        assert failures == []
        assert not clinic.sees(patient), turn
        assert not second.sees(patient), turn
        assert plan.sees(patient)


def test_grants_that_race_are_all_kept(known: Callable[..., Any]) -> None:
    plan, clinic, second = known("plan"), known("clinic"), known("second")
    for turn in range(10):
        patient = plan.create(PATIENT)
        failures = at_once(
            lambda patient=patient: plan.create(coverage(patient, "second")),
            lambda patient=patient: plan.create(care_team(patient, "clinic")),
        )
        assert failures == []
        assert clinic.sees(patient), turn
        assert second.sees(patient), turn


def test_patients_of_one_identifier_that_race_leave_one(known: Callable[..., Any]) -> None:
    """P1, P5: one is created, the others are told 409."""
    plan = known("plan")
    for turn in range(5):
        numbered = {**PATIENT, "identifier": [{"system": "urn:cin", "value": f"9000000{turn}A"}]}
        failures = at_once(*[lambda numbered=numbered: plan.create(numbered)] * 8)
        assert [type(error).__name__ for error in failures] == ["Conflict"] * 7


def test_updates_that_race_are_never_a_server_error(known: Callable[..., Any]) -> None:
    """P4, P5: each succeeds in its turn or is told 409 or 412; versions are contiguous."""
    plan = known("plan")
    made = plan.create(PATIENT)
    failures = at_once(
        *[lambda n=n: [plan.update(made, {**PATIENT, "active": n % 2 == 0}) for _ in range(6)] for n in range(6)]
    )
    assert {error.status for error in failures} <= {409, 412}
    row = plan.read(made)
    assert row.ver == 37 or failures
