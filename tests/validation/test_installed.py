"""A package with rules that cannot be asked, over HTTP: told at its installation, never a 500, advised by $validate."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_server.cli import app
from tests.ecm.referral import request, task
from tests.fhir.test_packages import packed
from tests.live import LiveServer, running
from tests.rest.scene import stored
from tests.validation.test_profile import BASE, profile

GUIDE = "https://example.org/StructureDefinition/"
RULES = [
    {"key": f"odd-{number}", "severity": "error", "human": "Odd", "expression": one}
    for number, one in enumerate(("name.frobnicate()", "%elsewhere.id.exists()", "(name", "code < 5"))
]
NEEDED = {"name": "Odd", "status": "active", "kind": "resource", "abstract": False, "derivation": "constraint"}
PATIENT = profile("Patient", {"id": "Patient.name", "min": 1, "mustSupport": True}, url=GUIDE + "patient", **NEEDED)
CONDITION = profile(
    "Condition",
    {"id": "Condition", "constraint": RULES},
    {"id": "Condition.subject", "type": [{"code": "Reference", "targetProfile": [GUIDE + "patient"]}]},
    {"id": "Condition.onset[x]", "mustSupport": True},
    url=GUIDE + "condition",
    **NEEDED,
)
MANIFEST = {"name": "example.odd", "version": "1.0.0", "fhirVersions": ["4.0.1"]}


@pytest.fixture(scope="module")
def site(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, LiveServer]]:
    """What the installation told, and a server with the package."""
    folder: Path = tmp_path_factory.mktemp("site")
    files = {"package/package.json": MANIFEST, "package/StructureDefinition-p.json": PATIENT,
             "package/StructureDefinition-c.json": CONDITION}  # fmt: skip
    environment = {"ECM_FHIR_DATA_FOLDER": str(folder), "ECM_FHIR_DATABASE_URL": module_database_url, "COLUMNS": "200"}
    archive = packed(folder / "odd.tgz", files)
    told = CliRunner().invoke(app, ["packages", "install", str(archive)], env=environment)
    assert told.exit_code == 0, told.output
    with running(module_database_url, folder) as server:
        yield told.output, server


def condition(subject: str) -> dict:
    return {
        "resourceType": "Condition",
        "meta": {"profile": [GUIDE + "condition"]},
        "subject": {"reference": subject},
        "code": {"text": "a"},
    }


def test_what_is_not_enforced_is_told_at_the_installation(site):
    told, _ = site
    assert [key in told for key in ("odd-0", "odd-1", "odd-2", "odd-3")] == [True, True, True, False]
    assert "frobnicate" in told


def test_advice_is_given_with_validate_and_nothing_is_refused_for_it(site):
    """B-64: targets that the caller sees are held to their profiles, and nothing is told of hidden ones."""
    _, server = site
    client, stranger = server.client("one"), server.client("two")
    named = stored(client, {"resourceType": "Patient", "name": [{"family": "A"}], "gender": "female"})["id"]
    bare = stored(client, {"resourceType": "Patient", "gender": "female"})["id"]
    for subject, warned in ((named, False), (bare, True)):
        assert client.post("Condition", condition(f"Patient/{subject}")).status_code == 201
        answer = client.post("Condition/$validate", condition(f"Patient/{subject}"))
        assert answer.status_code == 200, answer.text
        found = {(one["severity"], one.get("expression", [""])[0]) for one in answer.json()["issue"]}
        assert (("warning", "Condition.subject.reference") in found) is warned
        assert ("information", "Condition.onset") in found
        assert ("information", "Condition") in found
        assert "error" not in {severity for severity, _ in found}
        wish = {"Prefer": "return=OperationOutcome"}
        outcome = client.post("Condition", condition(f"Patient/{subject}"), headers=wish).json()
        told = [one["severity"] for one in outcome["issue"] if one.get("expression") == ["Condition.subject.reference"]]
        assert told == (["warning"] if warned else [])
    hidden = stranger.post("Condition/$validate", condition(f"Patient/{bare}"))
    absent = stranger.post("Condition/$validate", condition("Patient/absent"))
    assert json.dumps(hidden.json()) == json.dumps(absent.json())


def test_nothing_is_told_of_a_target_that_is_seen_in_part(site):
    """A pantry sees how to reach the member, and learns nothing of what the record lacks beside."""
    _, server = site
    clinic = server.client("clinic", rights="update-create")
    pantry = server.client("pantry", law_class="non-hipaa", rights="update-create")
    for client, name in ((clinic, "clinic"), (pantry, "pantry")):
        own = {"resourceType": "Organization", "id": name, "active": True, "name": name}
        assert client.put(f"Organization/{name}", own).status_code == 201
    bare = stored(clinic, {"resourceType": "Patient", "gender": "female"})["id"]
    focus = stored(clinic, request(bare, "clinic"))["id"]
    stored(clinic, task(bare, focus, "clinic", "pantry"))
    assert pantry.get(f"Patient/{bare}").status_code == 200
    answers = [client.post("Condition/$validate", condition(f"Patient/{bare}")) for client in (clinic, pantry)]
    told = [{one.get("expression", [""])[0] for one in answer.json()["issue"]} for answer in answers]
    assert ["Condition.subject.reference" in places for places in told] == [True, False]


def test_a_reference_that_leads_nowhere_here_is_passed_over(site):
    _, server = site
    client = server.client("three")
    for text in (
        "https://elsewhere.example/fhir/Patient/1",
        "Patient/a/_history/1",
        "urn:uuid:" + "0" * 8,
        BASE + "Patient",
    ):
        assert client.post("Condition/$validate", condition(text)).status_code == 200
