"""The directory is open to write in; nobody can take another's name or number in it."""

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.ecm.directory import providers_by_npi
from fhir_server.store.hashing import rh
from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import Json, attempt, changed, made

NPI = "http://hl7.org/fhir/sid/us-npi"
NUMBER = "1234567893"


def entry(name: str, npi: str = NUMBER) -> Json:
    return {"resourceType": "Organization", "name": name, "identifier": [{"system": NPI, "value": npi}]}


def own(client: Client, npi: str = NUMBER) -> Json:
    """The client's own entry, now with an NPI."""
    found = client.get(f"Organization/{client.id}").json()
    return changed(client, found, identifier=entry("", npi)["identifier"])


def provider_of(exchange: Exchange, client: Client, npi: str = NUMBER) -> str | None:
    """Whom an assignment file of this client would mean by an NPI."""
    name = f"Organization/{client.id}"
    caller = Caller(client.id, name, rh(name), "covered", parse("system/*.rs"), "TREAT")
    found = providers_by_npi(exchange.server.engine.context(caller, "request"), [npi])
    return found[npi].id if npi in found else None


def test_a_second_entry_with_an_npi(exchange: Exchange) -> None:
    """T34: nobody makes a provider ambiguous, or receives its members, by an entry with its NPI."""
    clinic, stranger, plan = exchange.clinic, exchange.stranger, exchange.plan
    made(stranger, entry("Clinic"))
    assert provider_of(exchange, plan) is None
    own(clinic)
    assert provider_of(exchange, plan) == "clinic"
    refused = stranger.post("Organization", entry("Clinic"))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "business-rule")
    mine = stranger.get("Organization/stranger").json()
    assert attempt(stranger, mine, identifier=entry("")["identifier"]).status_code == 422
    step = {"op": "add", "path": "/identifier", "value": entry("")["identifier"]}
    assert stranger.patch("Organization/stranger", [step]).status_code == 422
    assert provider_of(exchange, plan) == "clinic"


def test_a_plan_notes_a_provider_without_a_client(exchange: Exchange) -> None:
    """A plan's own entry counts for the plan alone."""
    noted = made(exchange.plan, entry("Small practice"))
    assert provider_of(exchange, exchange.plan) == noted["id"]
    assert provider_of(exchange, exchange.stranger) is None


def test_the_id_of_a_registered_organization(exchange: Exchange) -> None:
    """Update-as-create of another organization's entry is refused, so that it can make its own."""
    late = exchange.server.client("late", rights="update-create")
    body = {"resourceType": "Organization", "id": "late", "name": "not me"}
    assert exchange.stranger.put("Organization/late", body).status_code == 422
    assert late.put("Organization/late", body).status_code == 201
    assert exchange.stranger.put("Organization/late", body).status_code == 422


def test_an_entry_is_its_writers_alone(exchange: Exchange) -> None:
    """R12: visible to all, changed by its owner."""
    found = exchange.clinic.get("Organization/plan").json()
    assert attempt(exchange.clinic, found, name="mine now").status_code == 422
    step = {"op": "replace", "path": "/name", "value": "mine now"}
    assert exchange.clinic.patch("Organization/plan", [step]).status_code == 422
    assert exchange.clinic.delete("Organization/plan").status_code == 422
