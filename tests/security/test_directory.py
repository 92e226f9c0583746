"""The directory is open to write in; nobody can take another's name or number in it."""

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.ecm.directory import providers_by_npi
from fhir_server.fhir.errors import Duplicate, Invalid
from fhir_server.store.hashing import rh
from tests.ecm.exchange import done, mif
from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import Json, attempt, changed, made

pytestmark = pytest.mark.heavy

NPI = "http://hl7.org/fhir/sid/us-npi"
NUMBER = "1234567893"
VERIFIED = f"{NPI}|{NUMBER}"


def entry(name: str, npi: str = NUMBER) -> Json:
    return {"resourceType": "Organization", "name": name, "identifier": [{"system": NPI, "value": npi}]}


def provider_of(fresh_exchange: Exchange, client: Client, npi: str = NUMBER) -> str | None:
    """Whom an assignment file of this client would mean by an NPI."""
    name = f"Organization/{client.id}"
    caller = Caller(client.id, name, rh(name), "covered", parse("system/*.rs"), "TREAT")
    found = providers_by_npi(fresh_exchange.server.engine.context(caller, "request"), [npi])
    return found[npi].id if npi in found else None


def stating(client: Client) -> Json:
    """The client's own entry, now with the NPI."""
    found = client.get(f"Organization/{client.id}").json()
    return changed(client, found, identifier=entry("")["identifier"])


def test_what_an_organization_states_of_itself_is_no_proof(fresh_exchange: Exchange) -> None:
    """T34: whoever writes an unregistered NPI in its own entry first gets nobody's members by it."""
    clinic, stranger, plan = fresh_exchange.clinic, fresh_exchange.stranger, fresh_exchange.plan
    stating(stranger)
    assert provider_of(fresh_exchange, plan) is None
    stating(clinic)  # the stranger's word does not keep the clinic from its own
    assert provider_of(fresh_exchange, plan) is None
    fresh_exchange.verify(clinic, VERIFIED)
    assert provider_of(fresh_exchange, plan) == "clinic"


def test_members_follow_the_verified_number(fresh_exchange: Exchange) -> None:
    """T34, over the file: rows with a number that is merely stated wait, and nobody sees their members."""
    clinic, stranger, plan = fresh_exchange.clinic, fresh_exchange.stranger, fresh_exchange.plan
    stating(stranger)
    for verified, parked, seen in ((None, 1, 0), (clinic, 0, 1)):
        if verified:
            fresh_exchange.verify(verified, VERIFIED)
        body = mif(["90000001A"], **{"Provider NPI": NUMBER})
        answer = plan.request("POST", "Group/$import-assignments", body, headers={"Content-Type": "text/csv"})
        assert answer.status_code == 202, answer.text
        assert done(plan, answer)["summary"]["parked"] == parked
        assert stranger.get("Patient?_summary=count").json()["total"] == 0
        assert clinic.get("Patient?_summary=count").json()["total"] == seen


def test_a_second_entry_with_an_npi(fresh_exchange: Exchange) -> None:
    """T34: nobody makes a provider ambiguous, or receives its members, by an entry with its NPI."""
    clinic, stranger, plan = fresh_exchange.clinic, fresh_exchange.stranger, fresh_exchange.plan
    made(stranger, entry("Clinic"))
    fresh_exchange.verify(clinic, VERIFIED)
    assert provider_of(fresh_exchange, plan) == "clinic"
    refused = stranger.post("Organization", entry("Clinic"))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "business-rule")
    mine = stranger.get("Organization/stranger").json()
    assert attempt(stranger, mine, identifier=entry("")["identifier"]).status_code == 422
    step = {"op": "add", "path": "/identifier", "value": entry("")["identifier"]}
    assert stranger.patch("Organization/stranger", [step]).status_code == 422
    stating(clinic)
    assert provider_of(fresh_exchange, plan) == "clinic"


def test_a_number_is_verified_for_one_organization(fresh_exchange: Exchange) -> None:
    """The operator who gives it to a second one is told; again for the same one changes nothing."""
    fresh_exchange.verify(fresh_exchange.clinic, VERIFIED)
    fresh_exchange.verify(fresh_exchange.clinic, VERIFIED)
    with pytest.raises(Duplicate, match="Organization/clinic"):
        fresh_exchange.verify(fresh_exchange.stranger, VERIFIED)
    for wrong in ("1234567893", "|1234567893", f"{NPI}|", f" {VERIFIED}"):
        with pytest.raises(Invalid, match=r"system\|value"):
            fresh_exchange.verify(fresh_exchange.stranger, wrong)
    assert provider_of(fresh_exchange, fresh_exchange.plan) == "clinic"


def test_assignment_files_are_for_clients_with_the_right(fresh_exchange: Exchange) -> None:
    """A covered provider cannot assign itself members; the right is the client's, and 403 rests on it alone."""
    body, kind = mif(["90000001A"]), {"Content-Type": "text/csv"}
    refused = fresh_exchange.clinic.request("POST", "Group/$import-assignments", body, headers=kind)
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (403, "forbidden")
    assert "assign" in refused.json()["issue"][0]["diagnostics"]
    fresh_exchange.verify(fresh_exchange.clinic, rights="assign")
    assert fresh_exchange.clinic.request("POST", "Group/$import-assignments", body, headers=kind).status_code == 202
    fresh_exchange.verify(fresh_exchange.pantry, rights="assign")  # whatever was registered: it is outside HIPAA
    assert fresh_exchange.pantry.request("POST", "Group/$import-assignments", body, headers=kind).status_code == 403


def test_a_plan_notes_a_provider_without_a_client(fresh_exchange: Exchange) -> None:
    """A plan's own entry counts for the plan alone, and only until the number is verified for somebody."""
    noted = made(fresh_exchange.plan, entry("Small practice"))
    assert provider_of(fresh_exchange, fresh_exchange.plan) == noted["id"]
    assert provider_of(fresh_exchange, fresh_exchange.stranger) is None
    fresh_exchange.verify(fresh_exchange.clinic, VERIFIED)
    assert provider_of(fresh_exchange, fresh_exchange.plan) == "clinic"


def test_ids_of_ones_own_in_the_directory_alone(fresh_exchange: Exchange) -> None:
    """L14: who chooses ids in the directory only, where nothing is hidden, cannot ask whether a hidden id is taken."""
    member = fresh_exchange.plan.put("Patient/known", {"resourceType": "Patient", "id": "known"})
    assert member.status_code == 201
    late = fresh_exchange.server.client("late", rights="directory-ids")
    for fid in ("known", "unknown"):
        answer = late.put(f"Patient/{fid}", {"resourceType": "Patient", "id": fid})
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (405, "not-supported")
    for type_ in ("Organization", "Location"):
        assert late.put(f"{type_}/late", {"resourceType": type_, "id": "late", "name": "Late"}).status_code == 201


def test_the_id_of_a_registered_organization(fresh_exchange: Exchange) -> None:
    """Update-as-create of another organization's entry is refused, so that it can make its own."""
    late = fresh_exchange.server.client("late", rights="update-create")
    body = {"resourceType": "Organization", "id": "late", "name": "not me"}
    assert fresh_exchange.stranger.put("Organization/late", body).status_code == 422
    assert late.put("Organization/late", body).status_code == 201
    assert fresh_exchange.stranger.put("Organization/late", body).status_code == 422


def test_an_entry_is_its_writers_alone(fresh_exchange: Exchange) -> None:
    """R12: visible to all, changed by its owner."""
    found = fresh_exchange.clinic.get("Organization/plan").json()
    assert attempt(fresh_exchange.clinic, found, name="mine now").status_code == 422
    step = {"op": "replace", "path": "/name", "value": "mine now"}
    assert fresh_exchange.clinic.patch("Organization/plan", [step]).status_code == 422
    assert fresh_exchange.clinic.delete("Organization/plan").status_code == 422
