"""The CapabilityStatement is what the server does: every line of it works, and nothing else does (B-65)."""

from typing import Any
from urllib.parse import quote

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement as Model
from fhirclient import client as fhirclient
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.patient import Patient

from fhir_server.fhir.errors import FHIRError
from fhir_server.validation import structure
from tests.live import Client, LiveServer
from tests.rest.catalogue import send
from tests.rest.scene import organization

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EXCHANGE = [
    "CarePlan", "CareTeam", "Condition", "Consent", "Coverage", "Encounter", "Goal", "Group", "Location", "Observation",
    "Organization", "Patient", "Practitioner", "PractitionerRole", "Provenance", "QuestionnaireResponse",
    "RelatedPerson", "ServiceRequest", "Task",
]  # fmt: skip
PLAUSIBLE = {
    "special": "34.05|-118.24",
    "token": "a",
    "string": "a",
    "date": "2026-01-01",
    "uri": "urn:a",
    "reference": "Patient/a",
    "number": "1",
    "quantity": "1",
    "composite": "a$2026",
}
OUTSIDE = [
    ("DELETE", ""), ("PUT", ""), ("POST", "_search"), ("DELETE", "Patient/a/*"),
    ("DELETE", "Patient"), ("PATCH", "Patient"), ("POST", "Patient/a"), ("POST", "Patient/a/Condition"),
    ("GET", "Patient/$everything"), ("POST", "$validate"), ("GET", "$export"), ("GET", "Patient/$export"),
    ("PUT", "metadata"), ("GET", "Organization/a/*"), ("GET", "Patient/a/_history/1/x"),
]  # fmt: skip


@pytest.fixture(scope="module")
def statement(server: LiveServer) -> dict[str, Any]:
    return send(server, "GET", "metadata").json


@pytest.fixture(scope="module")
def by_type(statement: Any) -> dict[str, Any]:
    return {row["type"]: row for row in statement["rest"][0]["resource"]}


@pytest.fixture(scope="module")
def member(clinic: Client, registrar: Client) -> str:
    """A Patient with something about it."""
    reference = organization(registrar, "clinic")
    made = clinic.post("Patient", {
        "resourceType": "Patient", "active": True, "gender": "female", "birthDate": "1980-02-03",
        "name": [{"family": "Muñoz", "given": ["Ana"]}], "managingOrganization": reference,
        "identifier": [{"system": "urn:member", "value": "7"}], "telecom": [{"system": "phone", "value": "555"}],
    })  # fmt: skip
    assert made.status_code == 201, made.text
    subject = {"reference": f"Patient/{made.json()['id']}"}
    for body in (
        {"resourceType": "Condition", "subject": subject, "code": {"text": "a"}, "onsetDateTime": "2026"},
        {"resourceType": "Observation", "status": "final", "subject": subject, "code": {"text": "a"}},
        {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}, "subject": subject},
        {"resourceType": "Goal", "lifecycleStatus": "active", "subject": subject, "description": {"text": "a"}},
    ):
        assert clinic.post(body["resourceType"], body).status_code == 201
    return str(made.json()["id"])


def test_the_statement_is_a_valid_resource(server: LiveServer, statement: Any) -> None:
    """B-65: by the server's own check and by the model classes."""
    structure.check("CapabilityStatement", statement)
    Model.model_validate(statement)
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")
    assert statement["implementation"]["url"] == server.base
    assert statement["patchFormat"] == ["application/json-patch+json", "application/fhir+json", "application/fhir+xml"]
    assert statement["format"] == ["json", "application/fhir+json", "xml", "application/fhir+xml"]
    uris = statement["rest"][0]["security"]["extension"][0]
    assert uris["url"].endswith("/oauth-uris")
    assert {"url": "token", "valueUri": server.root + "/auth/token"} in uris["extension"]


def test_every_type_is_there(server: LiveServer, by_type: Any) -> None:
    assert tuple(by_type) == server.engine.definitions.types


def test_every_listed_parameter_can_be_asked(server: LiveServer, by_type: Any) -> None:
    """B-65 for all types, on the parser: listed works, unlisted is refused, whatever R4 defines."""
    parse = server.engine.searcher.parse
    for kind, row in by_type.items():
        listed = {param["name"]: param for param in row["searchParam"]}
        for name, param in listed.items():
            three = param["type"] == "composite" and kind == "MolecularSequence"
            parse(kind, [(name, PLAUSIBLE[param["type"]] + "$2026" * three)])
        for name in set(server.engine.definitions.search_params(kind)) - set(listed):
            with pytest.raises(FHIRError):
                parse(kind, [(name, "1")])
        for path in row.get("searchInclude", ()):
            parse(kind, [("_include", path)])
        for path in row.get("searchRevInclude", ()):
            parse(kind, [("_revinclude", path)])
        for name in set(listed) - {path.partition(":")[2] for path in row.get("searchInclude", ())}:
            with pytest.raises(FHIRError):
                parse(kind, [("_include", f"{kind}:{name}")])


@pytest.mark.long
@pytest.mark.parametrize("kind", EXCHANGE)
def test_get_and_post_count_alike(clinic: Client, member: str, by_type: Any, kind: str) -> None:
    """B-49, B-65: every parameter of the exchange's types over HTTP, by GET and by POST."""
    found = 0
    for param in by_type[kind]["searchParam"]:
        own = {"patient": member, "subject": f"Patient/{member}", "_id": member}
        value = own.get(param["name"], PLAUSIBLE[param["type"]])
        queries = [f"{param['name']}={quote(value, safe='')}&_total=accurate"]
        if param["name"] not in {"_id", "_lastUpdated"}:
            queries.append(f"{param['name']}:missing=false&_total=accurate")
        for query in queries:
            got = clinic.get(f"{kind}?{query}")
            posted = clinic.post(f"{kind}/_search", query.encode(), headers=FORM)
            halves = query.split("&")
            mixed = clinic.post(f"{kind}/_search?{halves[1]}", halves[0].encode(), headers=FORM)
            assert [got.status_code, posted.status_code, mixed.status_code] == [200, 200, 200], got.text
            ids = [[one["fullUrl"] for one in answer.json().get("entry", [])] for answer in (got, posted, mixed)]
            assert ids[0] == ids[1] == ids[2]
            assert got.json()["total"] == posted.json()["total"] == mixed.json()["total"]
            found += got.json()["total"]
    assert found or kind not in {"Patient", "Condition", "Observation", "Encounter", "Goal", "Organization"}


def test_what_is_claimed_of_each_type(clinic: Client, by_type: Any) -> None:
    """B-65: conditional flags and versioning are those the other tests prove."""
    for kind, row in by_type.items():
        assert {one["code"] for one in row["interaction"]} == {
            "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
            "search-type",
        }  # fmt: skip
        assert row["versioning"] == ("versioned-update" if kind in {"Task", "Consent"} else "versioned")
        claims = [row[name] for name in ("conditionalCreate", "conditionalUpdate", "conditionalRead", "readHistory")]
        assert claims == [True, True, "full-support", True]
        assert (row["conditionalDelete"], row["updateCreate"]) == ("single", False)
    assert by_type["Patient"]["supportedProfile"] == ["https://ecm-exchange.org/fhir/StructureDefinition/ecm-patient"]


def test_operations_have_their_definitions(server: LiveServer, by_type: Any) -> None:
    """B-65, GQ-12: every operation routed is listed with a definition that is there, and the reverse."""
    listed = {(kind, one["name"]) for kind, row in by_type.items() for one in row.get("operation", ())}
    types = server.engine.definitions.types
    of_types = [row for row in server.engine.operations if row.levels != ("system",)]
    routed = {(kind, row.name) for row in of_types for kind in row.types or types}
    assert listed == routed
    for row in by_type.values():
        for one in row.get("operation", ()):
            definition = server.engine.definitions.resource(one["definition"])
            assert definition, one
            assert definition["code"] == one["name"]


@pytest.mark.parametrize(("method", "path"), OUTSIDE)
def test_what_is_not_listed_does_nothing(clinic: Client, method: str, path: str) -> None:
    """B-65: no 2xx for what the statement leaves out."""
    body = {"resourceType": "Patient"} if method in {"PUT", "POST", "PATCH"} else None
    answer = clinic.request(method, path, body)
    assert 400 <= answer.status_code < 500
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_fhirclient_reads_and_searches(server: LiveServer, clinic: Client, member: str) -> None:
    """A SMART app's library understands the statement and the answers."""
    app = fhirclient.FHIRClient(settings={"app_id": "tests", "api_base": server.base})
    app.server.get_capability()
    assert app.server.auth.auth_type == "oauth2"  # from the oauth-uris
    app.server.auth.access_token = clinic.authorize_once()
    stated = CapabilityStatement.read_from("metadata", app.server)
    assert stated.fhirVersion == "4.0.1"
    patient = Patient.read(member, app.server)
    assert patient.name[0].family == "Muñoz"
    found = Patient.where({"family": "munoz", "_count": "1"}).perform_resources_iter(app.server)
    assert [one.id for one in found] == [member]


def test_fhirpy_reads_searches_and_writes(server: LiveServer, clinic: Client, member: str) -> None:
    """So does another."""
    fhirpy = pytest.importorskip("fhirpy")
    app = fhirpy.SyncFHIRClient(server.base, authorization=f"Bearer {clinic.authorize_once()}")
    patient = app.resources("Patient").search(family="Muñoz").first()
    assert patient["id"] == member
    condition = app.resource("Condition", subject=patient.to_reference(), code={"text": "b"})
    condition.save()
    assert len(app.resources("Condition").search(patient=member).fetch_all()) == 2
    condition["code"] = {"text": "c"}
    condition.save()
    assert app.reference("Condition", condition.id).to_resource()["code"] == {"text": "c"}
    condition.delete()
    assert len(app.resources("Condition").search(patient=member).fetch_all()) == 1
