"""$validate over HTTP, on both databases: 200 and an OperationOutcome, nothing stored."""

from typing import Any

import pytest

from tests.live import Client
from tests.rest.operations.conftest import parameters
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

PATIENT = {"resourceType": "Patient", "name": [{"family": "Rivera"}], "gender": "female"}
ECM = "https://ecm-exchange.org/fhir/StructureDefinition/ecm-patient"


def issues(answer: Any) -> list[tuple[str, str]]:
    """(severity, code) of every issue of a 200."""
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    return [(one["severity"], one["code"]) for one in answer.json()["issue"]]


RIGHT = [("information", "informational")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (PATIENT, RIGHT),
        (parameters(resource=PATIENT), RIGHT),
        (parameters(resource=PATIENT, mode__code="create"), RIGHT),
        ({**PATIENT, "gender": "unheard"}, [("error", "code-invalid")]),
        ({**PATIENT, "shoe": 43}, [("error", "structure")]),
        (parameters(resource={**PATIENT, "birthDate": "2026-13-01"}), [("error", "value")]),
        ({"resourceType": "Observation", "status": "final"}, [("error", "invalid")]),
        (parameters(resource=PATIENT, profile__canonical="urn:no-such-profile"), [("error", "not-supported")]),
    ],
)
def test_what_is_wrong_is_told_with_200(clinic: Client, body: Any, expected: Any) -> None:
    """B-64."""
    assert issues(clinic.post("Patient/$validate", body)) == expected


def test_a_profile_is_asked_for_in_the_url_or_the_body(clinic: Client) -> None:
    """B-64: the rules of a profile that the resource does not claim."""
    in_url = issues(clinic.post(f"Patient/$validate?profile={ECM}", PATIENT))
    in_body = issues(clinic.post("Patient/$validate", parameters(resource=PATIENT, profile__uri=ECM)))
    assert in_url == in_body
    assert ("error", "invariant") in in_url


def test_nothing_is_stored(clinic: Client) -> None:
    """B-64: not even by the rehearsal of a create, an update or a delete."""
    before = stored(clinic, {**PATIENT, "identifier": [{"system": "urn:member", "value": "V-1"}]})
    count = clinic.get("Patient?_summary=count").json()["total"]
    here = f"Patient/{before['id']}/$validate"
    changed = {**before, "active": True}
    assert issues(clinic.post("Patient/$validate?mode=create", PATIENT)) == RIGHT
    assert issues(clinic.post(here, parameters(resource=changed, mode__code="update"))) == RIGHT
    assert issues(clinic.get(here + "?mode=delete")) == RIGHT
    assert issues(clinic.get(here)) == RIGHT
    assert clinic.get("Patient?_summary=count").json()["total"] == count
    assert clinic.get(f"Patient/{before['id']}").json() == before


def test_a_rehearsal_tells_what_the_write_would_be_refused_for(clinic: Client) -> None:
    """B-64, B-67: a missing target, an identity taken, a body of another id: what no profile can tell."""
    known = stored(clinic, {**PATIENT, "identifier": [{"system": "urn:member", "value": "V-2"}]})
    taken = {**PATIENT, "identifier": [{"system": "urn:member", "value": "V-2"}]}
    lost = {"resourceType": "Condition", "subject": {"reference": "Patient/nobody"}, "code": {"text": "a"}}
    assert issues(clinic.post("Patient/$validate", taken)) == RIGHT
    assert issues(clinic.post("Patient/$validate?mode=create", taken)) == [("error", "conflict")]
    asked = clinic.post("Condition/$validate?mode=create", lost)
    assert issues(asked)[0][0] == "error"
    assert clinic.post("Condition", lost).json()["issue"][0]["diagnostics"] == asked.json()["issue"][0]["diagnostics"]
    elsewhere = clinic.post(f"Patient/{known['id']}/$validate?mode=update", {**PATIENT, "id": "other"})
    assert issues(elsewhere) == [("error", "value")]


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("Patient/$validate", None, 400, "resource"),
        ("Patient/$validate?mode=improve", PATIENT, 400, "mode"),
        ("Patient/$validate?colour=red", PATIENT, 400, "colour"),
        ("Patient/$validate?mode=create&mode=create", PATIENT, 400, "mode"),
        ("Patient/$validate?mode=update", PATIENT, 400, "mode"),
        ("Patient/$validate?mode=profile", PATIENT, 400, "profile"),
        ("Patient/$validate?resource=x", PATIENT, 400, "resource"),
        ("Patient/$validate", parameters(resource=PATIENT, mode__boolean=True), 400, "mode"),
        ("Patient/$validate", parameters(resource=PATIENT, hat__string="x"), 400, "hat"),
        ("Patient/$validate", b'{"resourceType":"Patient","id":"a","id":"b"}', 400, "id"),
        ("Patient/absent/$validate?mode=delete", None, 404, ""),
        ("Patient/absent/$validate", None, 404, ""),
        ("Nonsense/$validate", PATIENT, 404, ""),
        ("$validate", PATIENT, 404, ""),
        ("Patient/a/_history/1/$validate", PATIENT, 404, ""),
    ],
)
def test_arguments_are_checked_from_the_definition(
    clinic: Client, path: str, body: Any, status: int, word: str
) -> None:
    """B-64: cardinality, type, unknown parameter: 400 that names it."""
    answer = clinic.post(path, body) if body is not None else clinic.get(path)
    assert answer.status_code == status, answer.text
    assert word in answer.text


def test_what_a_caller_may_not_do_or_see_stays_so(server: Any, clinic: Client, stranger: Client) -> None:
    """403 by the token, 404 by the view; a rehearsal opens no second door."""
    hidden = stored(clinic, PATIENT)["id"]
    reader = server.client("validate-reader", organization="Organization/clinic", scopes="system/*.rs")
    absent = stranger.get("Patient/absent/$validate").json()
    assert stranger.get(f"Patient/{hidden}/$validate").json() == absent
    assert stranger.get(f"Patient/{hidden}/$validate?mode=delete").status_code == 404
    assert reader.post("Patient/$validate?mode=create", PATIENT).status_code == 403
    assert issues(reader.post("Patient/$validate", PATIENT)) == RIGHT


def test_it_stands_in_a_batch_and_answers_head(clinic: Client) -> None:
    """B-53, B-58."""
    known = stored(clinic, PATIENT)["id"]
    entry = {"request": {"method": "POST", "url": "Patient/$validate"}, "resource": PATIENT}
    made = clinic.post("", {"resourceType": "Bundle", "type": "batch", "entry": [entry]}).json()["entry"][0]["response"]
    assert (made["status"], made["outcome"]["issue"][0]["severity"]) == ("200", "information")
    head = clinic.request("HEAD", f"Patient/{known}/$validate")
    assert (head.status_code, head.content) == (200, b"")
