"""What is written down beside the answers: logs hold no bodies, parameter values or tokens; errors no stored data."""

import sqlite3
from typing import Any

import psycopg
import pytest

from fhir_server.engine import repository
from tests.live import Client, LiveServer

SECRET = "Rumpelstilzchen"


def use(clinic: Client) -> None:
    """Requests of every kind with a secret in them, most of them failing."""
    patient = {
        "resourceType": "Patient",
        "name": [{"family": SECRET}],
        "identifier": [{"system": "urn:s", "value": SECRET}],
    }
    made = clinic.post("Patient", patient).json()
    clinic.post("Patient", patient)
    clinic.post("Patient", {**patient, "gender": SECRET})
    clinic.post("Patient", f'{{"resourceType":"Patient","{SECRET}":1}}'.encode())
    clinic.get(f"Patient?name={SECRET}&birthdate={SECRET}")
    clinic.get(f"Patient?name={SECRET}&foo={SECRET}")
    clinic.get(f"Patient/{SECRET}")
    clinic.get(f"Foo/{SECRET}")
    clinic.patch(f"Patient/{made['id']}", [{"op": "test", "path": "/name/0/family", "value": "x"}])
    clinic.put(f"Patient?identifier=urn:s|{SECRET}", {**patient, "id": "other"})
    clinic.get("Patient", headers={"Authorization": f"Bearer {SECRET}"})
    clinic.get(f"Patient?access_token={SECRET}")


def test_logs_hold_no_data(clinic: Client, capfd: pytest.CaptureFixture[str]) -> None:
    """B-66: neither what was sent nor what was asked for."""
    clinic.authorize_once()
    use(clinic)
    written = "".join(capfd.readouterr())
    assert SECRET not in written
    assert clinic.token not in written


@pytest.mark.parametrize("failure", [
    RuntimeError(SECRET), sqlite3.IntegrityError(SECRET), psycopg.errors.UniqueViolation(SECRET), KeyError(SECRET),
])  # fmt: skip
def test_an_unexpected_failure_says_a_number_only(
    server: LiveServer,
    clinic: Client,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    failure: Exception,
) -> None:
    """B-24: 500 with the request's number, no trace and no value; the log knows the number, and no value either."""

    def broken(*_arguments: Any, **_options: Any) -> Any:
        secret_local = SECRET
        raise failure from ValueError(secret_local)

    monkeypatch.setattr(repository, "read", broken)
    answer = clinic.get("Patient/a", headers={"X-Request-Id": "number-7"})
    assert answer.status_code == 500
    assert answer.json()["issue"][0]["code"] == "exception"
    assert "number-7" in answer.json()["issue"][0]["diagnostics"]
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    written = "".join(capfd.readouterr())
    assert "number-7" in written
    assert "test_hygiene" in written  # where it happened
    assert SECRET not in written


def test_errors_never_quote_what_is_stored(clinic: Client) -> None:
    """A failing test operation or a conflict does not tell the stored value."""
    made = clinic.post("Basic", {"resourceType": "Basic", "code": {"text": SECRET}}).json()
    patch = [{"op": "test", "path": "/code/text", "value": "guess"}]
    for answer in (
        clinic.patch(f"Basic/{made['id']}", patch),
        clinic.put(f"Basic/{made['id']}", {**made, "code": {"text": "a"}}, headers={"If-Match": 'W/"9"'}),
    ):
        assert answer.status_code in {412, 422}
        assert SECRET not in answer.text
