"""The world as a whole: who is in it, in which order it loads, and that the same seed gives the same bytes."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

from seed import world as organizations
from tests.seed.conftest import World, write

STATES = {"draft", "requested", "accepted", "rejected", "in-progress", "completed", "cancelled", "failed", "on-hold"}
KINDS_OF_CONSENT = {
    "permit-all", "permit-recipient", "permit-sensitive", "deny-all", "deny-class", "deny-behavioral-health",
    "deny-recipient", "part2-permit", "part2-permit-community", "part2-until-event", "part2-revoked", "revoked",
    "expired", "future", "refused", "not-yet-signed",
}  # fmt: skip


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_seed_alone_decides_about_the_bytes(tmp_path: Path) -> None:
    """The same seed gives the same bytes, another one another world."""
    one, again, other = (
        _hashes(write(tmp_path / name, seed, members=40).folder)
        for name, seed in (("one", 7), ("again", 7), ("other", 8))
    )
    assert one == again
    assert one["members/plan-valley.csv"] != other["members/plan-valley.csv"]


def test_who_is_in_the_world(world: World) -> None:
    """Two plans, six providers, one Part 2 unit as the child of the county, eight community organizations."""
    parts = Counter(one.part for one in organizations.organizations())
    assert parts == {"plan": 2, "provider": 6, "unit": 1, "community": 8}
    assert len({one.county for one in organizations.those("plan")}) == 2
    stored = {one["id"]: one for one in world.resources("Organization")}
    assert len(stored) == 17
    assert stored["county-bh-recovery"]["partOf"] == {"reference": "Organization/county-bh"}
    assert sum(step["entries"] for step in world.steps("mif")) == 300


def test_community_organizations_span_the_supports(world: World) -> None:
    offered = {coding["code"] for one in world.resources("HealthcareService") for coding in one["type"][0]["coding"]}
    assert {
        "food-pantry",
        "medically-tailored-meals",
        "housing-transition-navigation",
        "recuperative-care",
        "sobering-centers",
        "asthma-remediation",
        "respite-services",
        "transitional-rent",
        "enhanced-care-management",
    } <= offered


def test_every_step_names_a_client_and_an_existing_file(world: World) -> None:
    clients = {one["id"] for one in json.loads((world.folder / "clients.json").read_text("utf-8"))}
    for step in world.manifest["steps"]:
        assert (world.folder / step["file"]).is_file()
        assert step["kind"] == "moves" or step["as"] in clients
    assert {move["as"] for move in world.moves()} <= clients
    for sample in world.manifest["samples"]:
        assert (world.folder / sample["file"]).is_file()
        assert sample["as"] in clients
    assert not re.search('"(keys|jwks|d|secret)"', (world.folder / "clients.json").read_text("utf-8"))


def test_transactions_are_small_and_can_be_sent_again(world: World) -> None:
    """B-54: at most 100 entries; every create is found again by its own seed identifier or tag."""
    seen: set[str] = set()
    for step in world.steps("bundle"):
        entries = world.content(step)["entry"]
        assert 0 < len(entries) <= 100
        for entry in entries:
            resource, request = entry["resource"], entry["request"]
            if request["method"] == "PUT":
                assert request["url"] == f"{resource['resourceType']}/{resource['id']}"
                handle = request["url"]
            else:
                handle = f"{request['url']}?{request['ifNoneExist']}"
                value = handle.partition("|")[2]
                assert value in json.dumps(resource.get("identifier") or resource["meta"]["tag"])
            assert handle not in seen
            seen.add(handle)


def test_links_lead_to_what_was_loaded_before(world: World) -> None:
    """A urn stands in the same transaction, a condition or id in an earlier step; so the order of loading is right."""
    loaded: set[str] = set()
    cins = set()
    for step in world.manifest["steps"]:
        if step["kind"] == "mif":
            cins |= set(re.findall(r"\b9\d{7}[A-Z]\b", (world.folder / step["file"]).read_text("utf-8")))
        if step["kind"] != "bundle":
            continue
        entries = world.content(step)["entry"]
        urns = {entry["fullUrl"] for entry in entries}
        loaded |= {f"{one['resource']['resourceType']}/{one['resource'].get('id')}" for one in entries}
        for entry in entries:
            for link in re.findall(r'"reference": ?"([^"]+)"', json.dumps(entry["resource"])):
                type_name, _, query = link.partition("?")
                if link.startswith("urn:"):
                    assert link in urns
                elif type_name == "Patient":
                    assert query.rpartition("|")[2] in cins
                elif query:
                    assert f"{type_name}|{query.rpartition('|')[2]}" in loaded
                else:
                    assert link in loaded, link
        loaded |= {f"{e['request']['url']}|{e['request'].get('ifNoneExist', '').rpartition('|')[2]}" for e in entries}


def test_tasks_end_in_every_state(world: World) -> None:
    """SD-32: every state of a referral, after the moves are made."""
    state = {one["identifier"][0]["value"]: one["status"] for one in world.resources("Task")}
    assert set(state.values()) == {"draft", "requested"}
    for move in world.moves():
        name = move["find"].rpartition("|")[2]
        assert state[name] == move["from"], move
        state[name] = move["to"]
    assert set(state.values()) == STATES


def test_a_support_is_parent_and_child_and_one_task_is_open(world: World) -> None:
    """SD-03 and SD-41: the plan's own request stands below the provider's; an open Task names its candidates."""
    tasks = world.resources("Task")
    children = [one for one in tasks if "partOf" in one]
    assert len(children) == 5
    assert all(one["requester"]["reference"].startswith("Organization/plan-") for one in children)
    still_open = [one for one in tasks if "restriction" in one]
    assert still_open
    assert all("owner" not in one and len(one["restriction"]["recipient"]) == 2 for one in still_open)


def test_a_loop_can_be_closed_while_the_task_goes_on(world: World) -> None:
    closed = [
        move
        for move in world.moves()
        if move["to"] == "in-progress"
        and "loop-closed" in {coding["code"] for coding in move["set"]["businessStatus"]["coding"]}
    ]
    assert any("meals-running" in move["find"] for move in closed)


def test_consents_of_every_kind(world: World) -> None:
    found = {re.sub(r"^consent-|-\d+$", "", one["identifier"][0]["value"]) for one in world.resources("Consent")}
    assert found == KINDS_OF_CONSENT
    assert {one["status"] for one in world.resources("Consent")} == {"active", "inactive", "rejected", "proposed"}


def test_denial_of_everything_hides_nothing_the_providers_wrote(world: World) -> None:
    """A second load resolves the same links, so who denies all must appear in no transaction of a provider."""
    denied = {
        one["patient"]["reference"]
        for one in world.resources("Consent")
        if one["provision"]["type"] == "deny" and not one["provision"].keys() - {"type", "period"}
    }
    assert denied
    for step, entry in world.entries():
        if not step["as"].startswith("plan-"):
            assert not any(one in json.dumps(entry) for one in denied)


def test_care_plans_have_goals_in_progress_and_a_lead_care_manager(world: World) -> None:
    """EC-04, EC-05."""
    states = {one["achievementStatus"]["coding"][0]["code"] for one in world.resources("Goal")}
    assert {"in-progress", "improving", "achieved"} <= states
    for team in world.resources("CareTeam"):
        leads = [one for one in team["participant"] if one["role"][0]["coding"][0]["code"] == "lead-care-manager"]
        assert len(leads) == 1
        assert leads[0]["member"]["reference"].startswith("PractitionerRole/")
        assert "onBehalfOf" in leads[0]
    assert all(
        one["goal"] and "detail" not in json.dumps(one.get("activity", "")) for one in world.resources("CarePlan")
    )


def test_prior_claims_come_from_the_plans_and_outreach_from_the_providers(world: World) -> None:
    kinds = Counter()
    for step, entry in world.entries():
        if entry["resource"]["resourceType"] == "Encounter":
            claim = entry["resource"]["class"]["code"] in ("EMER", "IMP")
            assert claim == step["as"].startswith("plan-")
            kinds[entry["resource"]["class"]["code"]] += 1
    assert set(kinds) == {"EMER", "IMP", "FLD", "VR"}
