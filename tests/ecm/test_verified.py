"""What the assigned provider finds out of a member, over FHIR: marked, kept against older files, told as new."""

import itertools
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm.exchange import read
from tests.ecm.referral import issue, sent
from tests.ecm.scene import HEADERS, Scene, as_csv, row
from tests.live import Client

pytestmark = pytest.mark.heavy

NUMBERS = itertools.count(300)
HOME = {"use": "home", "line": ["9 New Street"], "city": "Fresno", "state": "CA", "postalCode": "93701"}
PHONE = {"system": "phone", "value": "559-555-0111"}
SPANISH = {"language": {"coding": [{"system": words.LANGUAGE, "code": "es"}], "text": "Spanish"}, "preferred": True}
HOUSED = {"url": words.HOMELESS, "valueBoolean": True}


def member(world: Scene, who: str = "clinic", provider: str = "clinic", **cells: str) -> tuple[int, dict[str, Any]]:
    """A new member of the plan, as a client reads the Patient; and its number."""
    number = next(NUMBERS)
    headers = (*HEADERS, "Production Date", "Homelessness Indicator", "Safe Contact Restriction")
    made = row(number, provider, **{"Production Date": "07/01/2026", "Homelessness Indicator": "N", **cells})
    world.take_in(world.plan, as_csv([made], headers), mode="delta")
    return number, world.member(world.clients[who], number)


def again(world: Scene, number: int, **cells: str) -> None:
    """The plan's next file of the member, made on the day of the first one."""
    headers = (*HEADERS, "Production Date", "Homelessness Indicator", "Safe Contact Restriction")
    made = row(number, **{"Production Date": "07/01/2026", "Homelessness Indicator": "N", **cells})
    world.take_in(world.plan, as_csv([made], headers), mode="delta")


def put(client: Client, patient: dict[str, Any], **changes: Any) -> Any:
    """The answer to an update."""
    told = {name: value for name, value in {**patient, **changes}.items() if value is not None}
    return client.put(f"Patient/{patient['id']}", told)


def marks(element: dict[str, Any]) -> list[tuple[str, str]]:
    """(source, verifier) of an element's marks."""
    held = [*element.get("extension", []), *element.get("_valueBoolean", {}).get("extension", [])]
    parts = [{one["url"]: one for one in mark["extension"]} for mark in held if mark["url"] == words.VERIFIED]
    return [(one["source"]["valueCode"], one["verifier"]["valueReference"]["reference"]) for one in parts]


CLINIC = [("provider", "Organization/clinic")]


def test_what_a_provider_writes_is_verified_and_stays(world: Scene) -> None:
    """R3 1: address, telephone, language, housing with source, date, verifier; no older file replaces them."""
    number, patient = member(world)
    others = [one for one in patient["extension"] if one["url"] != words.HOMELESS]
    done = put(
        world.clinic, patient, address=[HOME], telecom=[PHONE], communication=[SPANISH], extension=[*others, HOUSED]
    )
    assert done.status_code == 200, done.text
    told = done.json()
    housing = next(one for one in told["extension"] if one["url"] == words.HOMELESS)
    for element in (told["address"][0], told["telecom"][0], told["communication"][0], housing):
        assert marks(element) == CLINIC, element
    assert world.member(world.plan, number)["address"] == told["address"]
    again(world, number, Phone="619-555-0177", Acuity="High")
    found = world.member(world.plan, number)
    for name in ("address", "telecom", "communication"):
        assert found[name] == told[name], name
    assert housing in found["extension"]
    group = world.roster(world.clinic)["id"]
    answer = world.clinic.get(f"Group/{group}/$export-return-file?period=2026-11")
    (line,) = [one for one in read(answer.content) if one["Member Last Name"] == f"Family{number}"]
    assert (line["Member New Address Indicator"], line["Member New Phone Number Indicator"]) == ("Y", "Y")
    assert (line["Member Residential Address"], line["Member Phone Number"]) == ("9 New Street", "5595550111")
    assert (line["Member Preferred Language (Spoken)"], line["Member Homelessness Indicator"]) == ("Spanish", "Y")


def test_a_file_made_later_says_it_anew(world: Scene) -> None:
    """R3 1: what was verified before the file was made gives way to it."""
    number, patient = member(world, "shelter", "shelter")
    assert put(world.shelter, patient, telecom=[PHONE]).status_code == 200
    later = {"Production Date": "01/01/2099", "Phone": "619-555-0178"}
    world.take_in(world.plan, as_csv([row(number, "shelter", **later)], (*HEADERS, "Production Date")), mode="delta")
    assert [one["value"] for one in world.member(world.plan, number)["telecom"]] == ["6195550178"]


def test_a_patch_marks_what_it_changes_alone(world: Scene) -> None:
    """What is repeated is no news, marks or not; an earlier day counts, a later one and a forger do not."""
    _, patient = member(world)
    steps = [{"op": "replace", "path": "/telecom/0/value", "value": "5595550122"}]
    kind = {"Content-Type": "application/json-patch+json"}
    patched = world.clinic.request("PATCH", f"Patient/{patient['id']}", steps, headers=kind)
    assert patched.status_code == 200, patched.text
    found = patched.json()
    assert (marks(found["telecom"][0]), marks(found["address"][0])) == (CLINIC, [])
    plain = {"system": "phone", "value": "5595550122"}
    same = put(world.clinic, found, telecom=[plain]).json()
    assert same["telecom"] == found["telecom"]
    parts = [
        {"url": "source", "valueCode": "plan"},
        {"url": "verifier", "valueReference": {"reference": "Organization/plan"}},
    ]
    for day, kept in (("2026-07-20", True), ("2199-01-01", False)):
        forged = {"url": words.VERIFIED, "extension": [*parts, {"url": "date", "valueDate": day}]}
        given = {**plain, "extension": [forged], "value": f"559555013{int(kept)}"}
        (told,) = put(world.clinic, found, telecom=[given]).json()["telecom"]
        assert marks(told) == CLINIC
        (mark,) = told["extension"]
        assert (next(one["valueDate"] for one in mark["extension"] if one["url"] == "date") == day) is kept


def test_the_rest_of_the_patient_is_the_plans(world: Scene) -> None:
    """R12: 422, nothing changes: names, numbers, labels, other extensions, what would be lost, a deleted record."""
    number, patient = member(world)
    label = {"system": words.CONFIDENTIALITY, "code": "V"}
    changes: list[dict[str, Any]] = [
        {"birthDate": "1999-01-01"}, {"name": [{"family": "Other", "given": ["X"]}]},
        {"identifier": patient["identifier"][:1]},
        {"meta": {**patient["meta"], "security": [label]}}, {"meta": {"versionId": "1"}},
        {"extension": [*patient["extension"], {"url": words.SAFE_CONTACT, "valueString": "x"}]}, {"extension": None},
        {"address": None}, {"telecom": None}, {"active": False}, {"deceasedBoolean": True},
    ]  # fmt: skip
    for change in changes:
        answer = put(world.clinic, patient, **change)
        assert issue(answer) == (422, "business-rule"), (change, answer.text)
    tag = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    assert world.clinic.post(f"Patient/{patient['id']}/$meta-add", tag).status_code == 422
    assert world.clinic.delete(f"Patient/{patient['id']}").status_code == 422
    assert world.member(world.plan, number) == patient


def test_only_the_assigned_provider_writes(world: Scene) -> None:
    """R12: not another provider, not who was shown the contact view, not the former provider; hidden is absent."""
    number, patient = member(world)
    assert put(world.street, patient, telecom=[PHONE]).status_code in {404, 405}
    sent(world, patient["id"], "pantry", by="plan")
    view = world.pantry.get(f"Patient/{patient['id']}").json()
    assert put(world.pantry, view, telecom=[PHONE]).status_code == 422
    again(world, number, **{"ECM Provider NPI": row(1, "street")["ECM Provider NPI"]})
    assert put(world.clinic, patient, telecom=[PHONE]).status_code in {404, 405, 422}
    assert put(world.street, world.member(world.street, number), telecom=[PHONE]).status_code == 200


def test_a_safe_contact_restriction_holds_for_what_a_provider_writes(world: Scene) -> None:
    """R3 1: the new number stays home as the old one did; so does what a file restricts later."""
    number, patient = member(world, **{"Safe Contact Restriction": "no mail"})
    done = put(world.clinic, patient, telecom=[PHONE], address=[HOME])
    assert done.status_code == 200, done.text
    assert [one["value"] for one in world.member(world.clinic, number)["telecom"]] == [PHONE["value"]]
    sent(world, patient["id"], "pantry", by="plan")
    assert world.pantry.get(f"Patient/{patient['id']}").json().keys() & {"address", "telecom"} == set()
    later, open_ = member(world)
    assert put(world.clinic, open_, telecom=[PHONE], address=[HOME]).status_code == 200
    sent(world, open_["id"], "pantry", by="plan")
    assert world.pantry.get(f"Patient/{open_['id']}").json().keys() >= {"address", "telecom"}
    again(world, later, **{"Safe Contact Restriction": "no calls"})
    assert [one["value"] for one in world.member(world.clinic, later)["telecom"]] == [PHONE["value"]]
    assert world.pantry.get(f"Patient/{open_['id']}").json().keys() & {"address", "telecom"} == set()


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_part_2_unit_writes_nothing_into_the_plans_patient(world: Scene, method: str) -> None:
    """42 CFR Part 2: what such a unit verified would name it as who treats the member, to all who see the Patient."""
    name = f"sober-{method.lower()}"
    number = next(NUMBERS)
    digits = row(1, "nobody")["ECM Provider NPI"] if method == "PUT" else "1234567893"
    unit = world.server.client(
        name, law_class="part2", rights="update-create", identifiers=[f"{words.NPI}|{digits}"],
        organization=f"Organization/{name}",
    )  # fmt: skip
    entry = {
        "resourceType": "Organization",
        "id": name,
        "name": "Sober",
        "identifier": [{"system": words.NPI, "value": digits}],
    }
    assert unit.put(f"Organization/{name}", entry).status_code == 201
    world.take_in(world.plan, as_csv([row(number, **{"ECM Provider NPI": digits})]), mode="delta")
    patient = world.member(unit, number)
    if method == "PUT":
        answer = put(unit, patient, telecom=[PHONE])
    else:
        steps = [{"op": "replace", "path": "/telecom/0/value", "value": "5595550122"}]
        kind = {"Content-Type": "application/json-patch+json"}
        answer = unit.request("PATCH", f"Patient/{patient['id']}", steps, headers=kind)
    assert issue(answer) == (422, "business-rule"), answer.text
    assert world.member(world.plan, number) == patient
