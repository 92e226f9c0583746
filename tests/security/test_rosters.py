"""Rosters, their files and jobs tell nobody more of a member than the member's record would."""

from typing import Any

import pytest

from tests.ecm.exchange import MEMBERS, NPIS, done, mif
from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import attempt, changed, deny, name_of, organization, request, sees, task

pytestmark = pytest.mark.heavy
NPI = "http://hl7.org/fhir/sid/us-npi"
CIN = "https://ecm-exchange.org/fhir/sid/medi-cal-cin"


def assign(fresh_exchange: Exchange, cins: list[str]) -> Any:
    """The answer to an assignment file of these members for the clinic, and its manifest."""
    headers = {"Content-Type": "text/csv"}
    answer = fresh_exchange.plan.request("POST", "Group/$import-assignments?mode=full", mif(cins), headers=headers)
    assert answer.status_code == 202, answer.text
    return answer, done(fresh_exchange.plan, answer)


def enrolled(fresh_exchange: Exchange) -> dict[str, Any]:
    """The clinic's members by CIN, once the plan assigned them."""
    fresh_exchange.verify(fresh_exchange.clinic, f"{NPI}|{NPIS['clinic']}")
    assign(fresh_exchange, list(MEMBERS))
    return {
        cin: fresh_exchange.plan.get(f"Patient?identifier={CIN}|{cin}").json()["entry"][0]["resource"]
        for cin in MEMBERS
    }


def found(client: Client, query: str) -> int:
    return int(client.get(f"{query}&_summary=count").json()["total"])


def shown(client: Client) -> set[str]:
    """Whom the client's roster lists."""
    group = client.get("Group").json()["entry"][0]["resource"]
    return {member["entity"]["reference"] for member in group.get("member", [])}


def test_a_hidden_member_is_not_found_by_the_roster(fresh_exchange: Exchange) -> None:
    """L8 and L19: who is not shown in a roster cannot be asked for there."""
    people = enrolled(fresh_exchange)
    hidden, other = people["90000001A"], people["90000002B"]
    assert found(fresh_exchange.clinic, f"Group?member={name_of(hidden)}") == 1
    deny(fresh_exchange.plan, hidden, fresh_exchange.clinic)
    assert not sees(fresh_exchange.clinic, hidden)
    assert name_of(hidden) not in shown(fresh_exchange.clinic)
    both = f"{name_of(hidden)},{name_of(other)}"
    for query in ("Group?member={}", "Group?member:Patient={}", "Group?type=person&member={}"):
        assert found(fresh_exchange.clinic, query.format(name_of(hidden))) == 0, query
        assert found(fresh_exchange.clinic, query.format(both)) == 1, query
        assert found(fresh_exchange.plan, query.format(name_of(hidden))) == 1, query
    for query in (f"Group?_has:Group:member:_id={hidden['id']}", f"Group?member.name={hidden['name'][0]['family']}"):
        answer = fresh_exchange.clinic.get(query)
        assert answer.status_code == 400 or answer.json()["total"] == 0
    page = fresh_exchange.clinic.get(f"Group?_sort=_id&member={name_of(hidden)}").json()
    assert not page.get("entry")


def test_a_query_shows_no_more_of_a_roster(fresh_exchange: Exchange) -> None:
    """L8 and L19 in GraphQL: by the members of a roster, and by the rosters of a member."""
    people = enrolled(fresh_exchange)
    hidden = people["90000001A"]
    deny(fresh_exchange.plan, hidden, fresh_exchange.clinic)
    query = """{ PatientList { id GroupList(_reference: member) { id } }
        GroupList { member { entity { reference resource { ... on Patient { id } } } } } }"""
    told = {}
    for client in (fresh_exchange.clinic, fresh_exchange.plan):
        answer = client.post("$graphql", {"query": query}, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
        told[client.id] = answer.json()["data"]
        assert (hidden["id"] in answer.text) is (client is fresh_exchange.plan)
        for person in told[client.id]["PatientList"]:
            of_one = client.get(f"Group?member=Patient/{person['id']}").json().get("entry", [])
            assert person["GroupList"] == [{"id": entry["resource"]["id"]} for entry in of_one]
    [group] = told["clinic"]["GroupList"]
    entities = [member["entity"] for member in group["member"]]
    assert {one["reference"] for one in entities} == shown(fresh_exchange.clinic)
    assert all(one["reference"] == f"Patient/{one['resource']['id']}" for one in entities)
    assert len(told["plan"]["PatientList"]) == len(told["clinic"]["PatientList"]) + 1


def test_who_leaves_the_roster_is_gone(fresh_exchange: Exchange) -> None:
    """Row 24: a full file without a member ends the clinic's access to it."""
    people = enrolled(fresh_exchange)
    gone = people["90000001A"]
    assert sees(fresh_exchange.clinic, gone)
    assign(fresh_exchange, ["90000002B", "90000003C"])
    assert not sees(fresh_exchange.clinic, gone)
    assert name_of(gone) not in shown(fresh_exchange.clinic)


def test_a_provider_adds_nobody_to_the_plans_team(fresh_exchange: Exchange) -> None:
    """L23: what the provider wrote in the plan's CareTeam must not take effect by the plan's next write."""
    people = enrolled(fresh_exchange)
    person = people["90000001A"]
    teams = fresh_exchange.plan.get(f"CareTeam?patient={person['id']}").json()["entry"]
    (team,) = [one["resource"] for one in teams]
    members = team["participant"]
    friend = {"member": organization(fresh_exchange.stranger), "role": members[0]["role"]}
    assert attempt(fresh_exchange.clinic, team, participant=[*members, friend]).status_code == 422
    longer = [{**one, "period": {"end": "2030-01-01"}} for one in members]
    team = changed(fresh_exchange.plan, team, participant=longer)
    assert attempt(fresh_exchange.clinic, team, participant=members).status_code == 422
    named = [*longer, {"member": {"display": "A neighbour"}, "role": members[0]["role"]}]
    team = changed(fresh_exchange.clinic, team, participant=named)
    changed(fresh_exchange.plan, team, name="Team")
    assert not sees(fresh_exchange.stranger, person)


def test_a_contact_view_shows_no_roster_row(fresh_exchange: Exchange) -> None:
    """A former provider that still serves a member by a referral sees how to reach it, not its row of the roster."""
    people = enrolled(fresh_exchange)
    gone = people["90000001A"]
    sent = task(
        fresh_exchange.plan, gone, request(fresh_exchange.plan, gone), owner=organization(fresh_exchange.clinic)
    )
    assign(fresh_exchange, ["90000002B", "90000003C"])
    for team in fresh_exchange.plan.get(f"CareTeam?patient={gone['id']}&status=active").json().get("entry", []):
        changed(fresh_exchange.plan, team["resource"], status="inactive")
    assert sees(fresh_exchange.clinic, sent)
    assert "identifier" not in fresh_exchange.clinic.get(name_of(gone)).json()
    assert name_of(gone) not in shown(fresh_exchange.clinic)


def test_a_file_is_for_the_client_that_asked(fresh_exchange: Exchange) -> None:
    """Row 105: another client of the same plan, with no scope for members, gets neither job nor file."""
    enrolled(fresh_exchange)
    answer, manifest = assign(fresh_exchange, list(MEMBERS))
    job = answer.headers["Content-Location"]
    colleague = fresh_exchange.server.client("colleague", "Organization/plan", scopes="system/Organization.rs")
    for client in (colleague, fresh_exchange.clinic, fresh_exchange.stranger):
        for url in (job, manifest["output"][0]["url"], f"{job}/input"):
            assert client.get(url).status_code == 404
            assert client.delete(job).status_code == 404
    assert fresh_exchange.plan.get(manifest["output"][0]["url"]).status_code == 200
