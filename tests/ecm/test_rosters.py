"""Rosters as their readers see them: versions, tags, searches, and that nobody writes them but files."""

from typing import Any

import orjson
import pytest
from sqlalchemy import select

from fhir_server.ecm import vocabulary as words
from fhir_server.store import tables
from fhir_server.store.hashing import rh
from tests.ecm.scene import Scene, row
from tests.ecm.test_import import entries


@pytest.fixture(scope="module")
def group(world: Scene) -> str:
    """The id of a roster with three members, in its second version."""
    world.take_in(world.plan, [row(number, "street") for number in (1, 2, 3)])
    return str(world.roster(world.plan, provider="street")["id"])


def tag(world: Scene, name: str, group: str) -> str:
    """The ETag that this organization reads."""
    return str(world.clients[name].get(f"Group/{group}").headers["ETag"])


def deny(patient: str, by: str, **more: Any) -> dict[str, Any]:
    """A Consent that denies everything to everybody."""
    return {
        "resourceType": "Consent", "status": "active",
        "scope": {"coding": [{"system": words.CONSENT_SCOPE, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": words.ACT_CODE, "code": "IDSCL"}]}],
        "patient": {"reference": f"Patient/{patient}"}, "dateTime": "2026-11-01T09:00:00-08:00",
        "performer": [{"reference": f"Patient/{patient}"}],
        "organization": [{"reference": f"Organization/{by}"}], "sourceAttachment": {"title": "Form"},
        "policy": [{"uri": "https://example.org/policy"}], "provision": {"type": "deny"}, **more,
    }  # fmt: skip


def test_the_tag_says_version_and_members(world: Scene, group: str):
    """Design, section 5: W/"n-hash"; each reader has its own hash, the version is one."""
    plan, street = tag(world, "plan", group), tag(world, "street", group)
    assert plan.split("-")[0] == street.split("-")[0] == 'W/"2'
    assert plan == tag(world, "plan", group)
    assert world.street.get(f"Group/{group}", headers={"If-None-Match": street}).status_code == 304
    assert world.street.get(f"Group/{group}").json()["meta"]["versionId"] == "2"


def test_nobody_writes_a_roster(world: Scene, group: str):
    """PUT, PATCH, DELETE and a create are 422; If-Match compares the version before that."""
    body = world.plan.get(f"Group/{group}").json()
    for name in ("plan", "street"):
        client = world.clients[name]
        rename = [{"op": "replace", "path": "/name", "value": "Mine"}]
        current = {"If-Match": tag(world, name, group)}
        for answer in (
            client.put(f"Group/{group}", body),
            client.put(f"Group/{group}", body, headers=current),
            client.patch(f"Group/{group}", rename),
            client.delete(f"Group/{group}"),
        ):
            assert answer.status_code == 422, answer.text
            assert answer.json()["issue"][0]["code"] == "business-rule"
    stale = world.plan.put(f"Group/{group}", body, headers={"If-Match": 'W/"1-abc"'})
    assert stale.status_code == 412
    new = {name: value for name, value in body.items() if name not in {"id", "meta", "member"}}
    assert world.plan.post("Group", new).status_code == 422
    assert world.plan.get(f"Group/{group}").json() == body
    assert world.stranger.patch(f"Group/{group}", [{"op": "remove", "path": "/name"}]).status_code == 404


def test_found_by_member(world: Scene, group: str):
    """AT-07: by member, by _has, and with its members included."""
    patient = world.member(world.street, 1)["id"]
    found = world.street.get(f"Group?member=Patient/{patient}").json()["entry"]
    assert [one["resource"]["id"] for one in found] == [group]
    members = world.street.get(f"Patient?_has:Group:member:_id={group}").json()["entry"]
    assert {one["resource"]["id"] for one in members} == {
        reference.split("/")[1] for reference in entries(world.roster(world.street, provider="street"))
    }
    bundle = world.street.get(f"Group?_id={group}&_include=Group:member").json()["entry"]
    assert sorted(one["search"]["mode"] for one in bundle) == ["include"] * len(members) + ["match"]
    for name in ("stranger", "clinic", "pantry"):
        assert "entry" not in world.clients[name].get(f"Group?member=Patient/{patient}").json()
        assert "entry" not in world.clients[name].get(f"Patient?_has:Group:member:_id={group}").json()


def test_a_member_found_no_more_after_a_drop(world: Scene):
    """What a file drops is not a member for a search."""
    world.take_in(world.plan, [row(11, "shelter"), row(12, "shelter")])
    group = world.roster(world.plan, provider="shelter")["id"]
    patient = world.member(world.plan, 12)["id"]
    assert world.plan.get(f"Group?member=Patient/{patient}").json().get("entry")
    world.take_in(world.plan, [row(11, "shelter")])
    assert "entry" not in world.plan.get(f"Group?member=Patient/{patient}").json()
    found = world.plan.get(f"Patient?_has:Group:member:_id={group}").json()["entry"]
    assert patient not in {one["resource"]["id"] for one in found}


def test_versions_as_of_then(world: Scene):
    """AT-05: vread and history show who was a member then, to those who may still see them."""
    world.take_in(world.other_plan, [row(21), row(22)])
    world.take_in(world.other_plan, [row(21, Phone="619-555-0144")])
    world.take_in(world.other_plan, [row(21, Phone="619-555-0144"), row(23)])
    group = world.roster(world.other_plan, "other-plan")["id"]
    ids = {number: f"Patient/{world.member(world.other_plan, number)['id']}" for number in (21, 22, 23)}

    def then(name: str, version: int) -> dict[str, str]:
        answer = world.clients[name].get(f"Group/{group}/_history/{version}")
        assert answer.status_code == 200
        assert answer.json()["meta"]["versionId"] == str(version)
        return entries(answer.json())

    assert then("other-plan", 1) == {}
    assert then("other-plan", 2) == {ids[21]: "new", ids[22]: "new"}
    assert then("other-plan", 3) == {ids[21]: "changed", ids[22]: "dropped"}
    assert then("other-plan", 4) == {ids[21]: "nochange", ids[22]: "dropped", ids[23]: "new"}
    assert then("clinic", 2) == {ids[21]: "new"}  # 22 is not this provider's any more
    history = world.other_plan.get(f"Group/{group}/_history").json()["entry"]
    assert [len(one["resource"].get("member", [])) for one in history] == [3, 2, 2, 0]
    dropped = [one for one in history[0]["resource"]["member"] if one["entity"]["reference"] == ids[22]]
    assert dropped[0]["inactive"] is True


def test_access_shows_in_the_tag(world: Scene, group: str):
    """A denial takes the member out of the provider's roster at once, without a new version; the tag changes."""
    patient = world.member(world.street, 3)["id"]
    before = {name: tag(world, name, group) for name in ("plan", "street")}
    to_street = {"type": "deny", "actor": [{
        "role": {"coding": [{"system": words.PARTICIPATION_TYPE, "code": "IRCP"}]},
        "reference": {"reference": "Organization/street"},
    }]}  # fmt: skip
    answer = world.plan.post("Consent", deny(patient, "plan", provision=to_street))
    assert answer.status_code == 201, answer.text
    after = {name: tag(world, name, group) for name in ("plan", "street")}
    assert after["street"] != before["street"]
    assert after["street"].split("-")[0] == before["street"].split("-")[0]
    assert after["plan"] == before["plan"]
    assert f"Patient/{patient}" not in entries(world.roster(world.street, provider="street"))
    assert f"Patient/{patient}" in entries(world.roster(world.plan, provider="street"))


def told(world: Scene, name: str, group: str) -> tuple[str, set[int]]:
    """How the audit trail names the members of the last roster shown to this organization, and whom it lists."""
    world.server.engine.reads.drain()
    audit = tables.audit
    query = select(audit).where(audit.c.interaction == "roster-members", audit.c.client == name).order_by(audit.c.at)
    last = world.server.engine.database.read().execute(query).all()[-1]
    first, *others = orjson.loads(last.entities)
    assert first[:2] == ["Group", group]
    return last.query, {patient for _, _, _, patient, _ in others}


def test_the_audit_trail_tells_who_was_shown(world: Scene):
    """Section 3 of the access model: every member shown in a Group can be named later, whatever changes meanwhile."""
    world.take_in(world.plan, [row(number, "shelter") for number in (41, 42, 43, 44)])
    roster = world.roster(world.plan, provider="shelter")
    group, shown = roster["id"], entries(roster)
    ids = {number: world.member(world.plan, number)["id"] for number in (41, 42, 43, 44)}
    hashes = {number: rh(f"Patient/{fid}") for number, fid in ids.items()}
    words_, listed = told(world, "plan", group)
    assert words_.startswith(f"all of version {roster['meta']['versionId']}, {len(shown)} shown")
    assert listed == set()
    for number in (41, 42):
        assert world.plan.post("Consent", deny(ids[number], "plan")).status_code == 201
    kept = entries(world.roster(world.shelter, provider="shelter"))
    assert {f"Patient/{ids[number]}" for number in (43, 44)} <= set(kept)
    words_, listed = told(world, "shelter", group)
    assert words_.startswith(("all but these", "these"))
    named = listed if words_.startswith("these") else {rh(one) for one in shown} - listed
    assert named & set(hashes.values()) == {hashes[43], hashes[44]}
    assert named == {rh(one) for one in kept}
    world.take_in(world.plan, [row(44, "shelter")])
    assert world.shelter.get(f"Group/{group}/_history/{roster['meta']['versionId']}").status_code == 200
    words_, listed = told(world, "shelter", group)
    assert words_.startswith(f"these of version {roster['meta']['versionId']}, 1 shown")
    assert listed == {hashes[44]}
