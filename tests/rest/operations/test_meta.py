"""$meta, $meta-add, $meta-delete and $diff over HTTP, on both databases."""

from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.operations.conftest import parameters, values
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

PATIENT = {"resourceType": "Patient", "name": [{"family": "Vang"}]}
TAG, OTHER = {"system": "urn:tags", "code": "pilot"}, {"system": "urn:tags", "code": "done"}
SECRET = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
PROFILE = "https://ecm-exchange.org/fhir/StructureDefinition/ecm-patient"


def meta_of(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return values(answer.json())["return"]


def test_tags_come_and_go_without_a_new_version(clinic: Client) -> None:
    """B-63: version and time stay; search, reads and history see the change at once."""
    made = stored(clinic, PATIENT)
    here = f"Patient/{made['id']}"
    for _ in range(2):  # what is there already stays once
        meta = meta_of(
            clinic.post(f"{here}/$meta-add", parameters(meta__meta={"tag": [TAG, TAG], "security": [SECRET]}))
        )
    assert meta == {**made["meta"], "tag": [TAG], "security": [SECRET]}
    read = clinic.get(here)
    assert (read.json()["meta"], read.headers["ETag"]) == (meta, 'W/"1"')
    assert meta_of(clinic.get(f"{here}/$meta")) == meta
    assert clinic.get(f"Patient?_id={made['id']}&_tag=urn:tags|pilot").json()["total"] == 1
    assert len(clinic.get(f"{here}/_history").json()["entry"]) == 1
    meta = meta_of(
        clinic.post(f"{here}/$meta-delete", parameters(meta__meta={"tag": [{**TAG, "display": "x"}, OTHER]}))
    )
    assert meta == {**made["meta"], "security": [SECRET]}
    assert clinic.get(f"Patient?_id={made['id']}&_tag=urn:tags|pilot").json()["total"] == 0
    assert clinic.put(here, {**clinic.get(here).json(), "active": True}).json()["meta"]["versionId"] == "2"


def test_a_label_is_never_taken_away_and_a_profile_must_hold(clinic: Client) -> None:
    """B-63: 422 and nothing changed."""
    made = stored(clinic, {**PATIENT, "meta": {"security": [SECRET]}})
    here = f"Patient/{made['id']}"
    assert clinic.post(f"{here}/$meta-delete", parameters(meta__meta={"security": [SECRET]})).status_code == 422
    assert clinic.post(f"{here}/$meta-add", parameters(meta__meta={"profile": [PROFILE]})).status_code == 422
    assert clinic.get(here).json() == made


def test_an_added_label_hides_at_once(server: LiveServer, clinic: Client) -> None:
    """R17, B-63: the bits of the row rise with the label, those of its contact view too."""
    made = stored(clinic, PATIENT)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    assert (
        clinic.post(f"Patient/{made['id']}/$meta-add", parameters(meta__meta={"security": [label]})).status_code == 200
    )
    sql = "SELECT labels FROM res WHERE fid = '{}' ORDER BY view".format(made["id"])
    bits = [row[0] for row in server.engine.database.read().exec_driver_sql(sql)]
    assert len(bits) == 2
    assert all(bits)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "Parameters"),
        ({"resourceType": "Parameters"}, "meta"),
        (parameters(meta__string="x"), "meta"),
        (parameters(meta__meta=[{"tag": [TAG]}, {"tag": [OTHER]}]), "meta"),
        (parameters(meta__meta={"tags": [TAG]}), "tags"),
    ],
)
def test_the_argument_is_checked(clinic: Client, body: Any, word: str) -> None:
    here = f"Patient/{stored(clinic, PATIENT)['id']}"
    answer = clinic.post(f"{here}/$meta-add", body)
    assert answer.status_code == 400
    assert word in answer.text or body == {}
    assert clinic.get(f"{here}/$meta-add").status_code == 405


def test_who_may_not_see_or_write_it(server: LiveServer, clinic: Client, stranger: Client) -> None:
    """Hidden is absent; R12 and scopes hold as for an update."""
    here = f"Patient/{stored(clinic, PATIENT)['id']}"
    reader = server.client("meta-reader", organization="Organization/clinic", scopes="system/*.rs")
    body = parameters(meta__meta={"tag": [TAG]})
    for verb in ("$meta-add", "$meta-delete"):
        assert stranger.post(f"{here}/{verb}", body).json() == stranger.post(f"Patient/absent/{verb}", body).json()
        assert stranger.post(f"{here}/{verb}", body).status_code == 404
        assert reader.post(f"{here}/{verb}", body).status_code == 403
    assert stranger.get(f"{here}/$meta").status_code == 404
    assert reader.get(f"{here}/$meta").status_code == 200


def test_the_difference_of_two_versions(clinic: Client, stranger: Client) -> None:
    """The last change by default; any two versions by number; never a version the caller cannot read."""
    made = stored(clinic, PATIENT)
    here = f"Patient/{made['id']}"
    clinic.put(here, {**made, "active": True})
    clinic.put(here, {**made, "active": False, "name": [{"family": "Rivera"}]})

    def told(query: str) -> list[Any]:
        answer = clinic.get(f"{here}/$diff{query}")
        assert answer.status_code == 200, answer.text
        operations = values(answer.json()).get("operation", [])
        return operations if isinstance(operations, list) else [operations]

    active = {"type": "replace", "path": "Patient.active", "value": False}
    name = {"type": "replace", "path": "Patient.name[0].family", "value": "Rivera"}
    assert sorted(told(""), key=str) == sorted([active, name], key=str)
    assert told("?to=2") == [{"type": "add", "path": "Patient", "name": "active", "value": True}]
    assert told("?from=3&to=2") != told("")
    assert [one["type"] for one in told("?from=1")] == ["add", "replace"]
    assert clinic.get(f"{here}/$diff?from=9").status_code == 404
    assert clinic.get(f"{here}/$diff?from=2&to=2").json() == {"resourceType": "Parameters"}
    assert clinic.get(f"{here}/$diff?to=1").status_code == 400
    assert clinic.get(f"{here}/$diff?from=x").status_code == 400
    assert stranger.get(f"{here}/$diff").status_code == 404
