"""Deleting what others refer to, as it is configured."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import Client, LiveServer, running
from tests.rest.scene import stored


def pair(client: Client) -> tuple[str, str]:
    """A Patient and a Basic about it."""
    patient = f"Patient/{stored(client, {'resourceType': 'Patient'})['id']}"
    basic = {"resourceType": "Basic", "code": {"text": "a"}, "subject": {"reference": patient}}
    return patient, f"Basic/{stored(client, basic)['id']}"


def entry(reference: str) -> dict[str, Any]:
    return {"request": {"method": "DELETE", "url": reference}}


def test_what_is_referred_to_may_be_deleted(clinic: Client) -> None:
    """B-11: by default; the referrer keeps its record, and what was deleted its versions."""
    patient, basic = pair(clinic)
    assert clinic.delete(patient).status_code == 204
    assert clinic.get(basic).status_code == 200
    assert clinic.get(f"{patient}/_history/1").status_code == 200


@pytest.fixture(scope="module")
def careful(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that deletes nothing that is referred to."""
    with running(module_database_url, tmp_path_factory.mktemp("careful"), delete_referenced="refuse") as live:
        yield live


def test_a_referrer_is_named(careful: LiveServer) -> None:
    """B-11: 409 and nothing deleted; when the referrer is gone it is deleted; a transaction may delete both."""
    client = careful.client("careful")
    patient, basic = pair(client)
    answer = client.delete(patient)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (409, "conflict")
    assert basic in answer.json()["issue"][0]["diagnostics"]
    assert client.get(patient).status_code == 200
    assert client.delete(basic).status_code == client.delete(patient).status_code == 204
    patient, basic = pair(client)
    both = {"resourceType": "Bundle", "type": "transaction", "entry": [entry(patient), entry(basic)]}
    assert client.post("", both).status_code == 200
    assert (client.get(patient).status_code, client.get(basic).status_code) == (410, 410)


def test_what_is_hidden_does_not_count(careful: LiveServer) -> None:
    """B-11: a refusal would tell that somebody else's record is there."""
    operator = careful.client("registrar", law_class="operator", rights="update-create")
    stranger = careful.client("stranger")
    body = {"resourceType": "Organization", "id": "referred", "name": "a"}
    assert operator.put("Organization/referred", body).status_code == 201
    about = {"resourceType": "Basic", "code": {"text": "a"}, "author": {"reference": "Organization/referred"}}
    stored(stranger, about)
    assert operator.delete("Organization/referred").status_code == 204
