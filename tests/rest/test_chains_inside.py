"""Chains into what a resource contains: found as R4 says, and by nobody who may not see it.

https://hl7.org/fhir/R4/search.html#contained
"""

import pytest

from tests.live import Client, LiveServer
from tests.rest.scene import organization, stored
from tests.rest.test_contained import FORM, PART2, bundle, code, patient, request


@pytest.fixture(scope="module")
def plan(server: LiveServer, registrar: Client) -> Client:
    for name in ("plan", "reader"):
        organization(registrar, name)
    return server.client("plan")


@pytest.fixture(scope="module")
def reader(server: LiveServer, plan: Client) -> Client:
    """An organization that sees a patient while a Coverage of the plan says so."""
    return server.client("reader")


def ids(client: Client, query: str) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle(client, query).get("entry", [])]


def test_a_chain_steps_into_what_is_contained(plan: Client) -> None:
    """B-42, #contained: by the reference that names it and no other; with resources of their own beside it."""
    one, other = code(), code()
    subject, _ = patient(plan)
    whole = stored(plan, request(subject, one, other))["id"]
    own = stored(plan, {"resourceType": "Medication", "status": "active", "code": {"coding": [{"code": one}]}})["id"]
    refers = stored(plan, {**request(subject, other), "medicationReference": {"reference": f"Medication/{own}"}})["id"]
    assert ids(plan, f"MedicationRequest?medication.code={one}") == [refers, whole]
    assert ids(plan, f"MedicationRequest?medication:Medication.code={one},none&status=active") == [refers, whole]
    assert ids(plan, f"MedicationRequest?medication.code={other}") == []
    assert ids(plan, f"MedicationRequest?medication.code={one}&medication.status:not=inactive&_count=1") == [refers]
    assert ids(plan, f"MedicationRequest?medication.code={one}&medication.status:missing=true") == []
    assert ids(plan, f"MedicationRequest?_filter=medication.code eq {one} and subject eq {subject['reference']}") == [
        refers, whole]  # fmt: skip
    assert ids(plan, f"Patient?_has:MedicationRequest:subject:medication.code={one}") == [subject["reference"][8:]]
    assert ids(plan, f"Medication?code={one}") == [own]
    posted = plan.post("MedicationRequest/_search", f"medication.code={one}&_total=accurate", headers=FORM).json()
    assert posted["total"] == 2


def test_a_reference_narrowed_to_a_type(plan: Client) -> None:
    """B-42: `patient` of a contained Patient; a contained Group under the same element is none."""
    name = code()
    person = {"resourceType": "Patient", "id": "a", "name": [{"family": name}]}
    group = {"resourceType": "Group", "id": "a", "type": "person", "actual": True, "name": name}
    made = [
        stored(plan, {"resourceType": "Observation", "status": "final", "code": {"text": "a"}, "contained": [one],
                      "subject": {"reference": "#a"}})["id"]
        for one in (person, group)
    ]  # fmt: skip
    assert ids(plan, f"Observation?patient.family={name}") == made[:1]
    assert ids(plan, f"Observation?subject:Patient.family={name}") == made[:1]
    assert ids(plan, f"Observation?subject:Group._content={name}") == made[1:]


def test_a_chain_keeps_step(plan: Client) -> None:
    """Every write takes the step along: another reference, another content, the end of it."""
    one, other = code(), code()
    subject, _ = patient(plan)
    body = stored(plan, request(subject, one, other))
    fid = body["id"]
    plan.patch(
        f"MedicationRequest/{fid}", [{"op": "replace", "path": "/medicationReference/reference", "value": "#m1"}]
    )
    assert ids(plan, f"MedicationRequest?medication.code={one}") == []
    assert ids(plan, f"MedicationRequest?medication.code={other}") == [fid]
    change = {"op": "replace", "path": "/contained/1/code/coding/0/code", "value": f"{other}-new"}
    plan.patch(f"MedicationRequest/{fid}", [change])
    assert ids(plan, f"MedicationRequest?medication.code={other}") == []
    assert ids(plan, f"MedicationRequest?medication.code={other}-new") == [fid]
    plan.delete(f"MedicationRequest/{fid}")
    assert ids(plan, f"MedicationRequest?medication.code={other}-new") == []


def test_a_chain_inside_is_no_second_door(server: LiveServer, plan: Client, reader: Client, stranger: Client) -> None:
    """R1, L4: what is hidden carries no chain; the type that is contained must be in scope as well."""
    wanted = code()
    subject, reasons = patient(plan, "reader")
    body = stored(plan, request(subject, wanted))
    query = f"MedicationRequest?medication.code={wanted}"
    scoped = server.client("scoped", organization="Organization/reader", scopes="system/MedicationRequest.rs")
    assert [ids(client, query) for client in (plan, reader)] == [[body["id"]]] * 2
    assert ids(stranger, query) == []
    assert ids(scoped, f"MedicationRequest?_id={body['id']}") == [body["id"]]
    assert ids(scoped, query) == []
    label = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [PART2]}}]}
    assert plan.post(f"MedicationRequest/{body['id']}/$meta-add", label).status_code == 200
    assert [ids(client, query) for client in (plan, reader)] == [[body["id"]], []]
    assert reasons
