"""Two records of one member: merged, previewed, unmerged; what others wrote, what files say, who sees what."""

from itertools import count
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm.files.world import call, rows_of, seen, send
from tests.ecm.referral import made, sent
from tests.ecm.scene import Scene, as_csv, cin, row
from tests.live import Client

pytestmark = pytest.mark.heavy

NUMBERS = count(640_000, 20)
MEDI_CAL = {"coding": [{"system": words.IDENTIFIER_TYPE, "code": "MA"}]}


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that several files of tests have in common."""
    return common_world


def asked(client: Client, name: str, source: str, target: str, *more: dict[str, Any], preview: bool = False) -> Any:
    """The answer to $merge or $unmerge."""
    sides = {"source-patient": source, "target-patient": target}
    given: list[dict[str, Any]] = [
        {"name": name, "valueReference": {"reference": f"Patient/{fid}"}} for name, fid in sides.items()
    ]
    if preview:
        given.append({"name": "preview", "valueBoolean": True})
    return client.post(f"Patient/${name}", {"resourceType": "Parameters", "parameter": [*given, *more]})


def may_see(name: str) -> dict[str, Any]:
    return {"name": "may-see", "valueReference": {"reference": f"Organization/{name}"}}


def references(answer: Any, name: str) -> list[str]:
    return [one["valueReference"]["reference"] for one in answer.json()["parameter"] if one["name"] == name]


def pair(world: Scene, first: str, second: str) -> tuple[int, str, str]:
    """(number of the first, both Patients' ids): the member was sent under two numbers, to two providers."""
    n = next(NUMBERS)
    send(world, as_csv([row(n, first), row(n + 1, second)]), "delta")
    return n, *[str(world.member(world.plan, n + at)["id"]) for at in (0, 1)]


def note(client: Client, patient: str) -> str:
    """An Observation of a provider about a patient."""
    code = {"coding": [{"system": "http://loinc.org", "code": "72514-3"}], "text": "Pain"}
    resource = {"resourceType": "Observation", "status": "final", "code": code, "valueString": "some"}
    return str(made(client, {**resource, "subject": {"reference": f"Patient/{patient}"}})["id"])


def status(client: Client, reference: str) -> int:
    return int(client.get(reference).status_code)


def without_meta(resource: dict[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in resource["meta"].items() if name not in {"versionId", "lastUpdated"}}
    return {**resource, "meta": meta, "identifier": sorted(resource["identifier"], key=str)}


def test_merge_and_unmerge(world: Scene) -> None:
    """R3 1: one member, one roster, both records readable to who is assigned; undone, all is as it was."""
    n, source, target = pair(world, "clinic", "street")
    before = [world.plan.get(f"Patient/{fid}").json() for fid in (source, target)]
    written = note(world.clinic, source)
    counts = world.counts()
    refused = asked(world.plan, "merge", source, target)
    assert (refused.status_code, "Organization/street" in refused.text) == (422, True)
    preview = asked(world.plan, "merge", source, target, may_see("street"), preview=True)
    assert references(preview, "sees-more") == ["Organization/street"]
    assert (world.counts(), world.plan.get(f"Patient/{source}").json()) == (counts, before[0])
    done = asked(world.plan, "merge", source, target, may_see("street"))
    assert done.status_code == 200, done.text
    assert references(done, "left-roster") == [f"Group/{world.roster(world.clinic)['id']}"]
    replaced, stands = (world.plan.get(f"Patient/{fid}").json() for fid in (source, target))
    assert (replaced["active"], "identifier" in replaced) == (False, False)
    assert replaced["link"] == [{"other": {"reference": f"Patient/{target}"}, "type": "replaced-by"}]
    assert stands["link"] == [{"other": {"reference": f"Patient/{source}"}, "type": "replaces"}]
    assert {one["value"] for one in stands["identifier"] if one.get("use") == "old"} == {cin(n), f"M{n:06d}"}
    assert world.member(world.street, n)["id"] == target
    both = (f"Patient/{source}", f"Observation/{written}")
    assert [status(world.street, one) for one in both] == [200, 200]
    assert status(world.clinic, f"Patient/{target}") == 404
    assert status(world.clinic, f"Observation/{written}") == 200  # its own words stay its own
    assert status(world.stranger, f"Patient/{source}") == status(world.other_plan, f"Patient/{source}") == 404
    later = note(world.street, source)
    assert asked(world.plan, "unmerge", source, target).status_code == 200
    after = [world.plan.get(f"Patient/{fid}").json() for fid in (source, target)]
    assert list(map(without_meta, after)) == list(map(without_meta, before))
    assert seen(world, [n, n + 1], "clinic", "street") == {"clinic": [n], "street": [n + 1]}
    assert [status(world.street, one) for one in both] == [404, 404]
    assert status(world.street, f"Observation/{later}") == status(world.clinic, f"Observation/{later}") == 200
    assert status(world.clinic, f"CareTeam?patient={source}&status=active") == 200
    again = send(world, as_csv([row(n, "clinic"), row(n + 1, "street")]), "delta")[1].json()
    assert again["summary"]["unchanged"] == 2


def test_contact_views_through_a_merge(world: Scene) -> None:
    """R5: who was referred either record is shown its contact view in step, referred before the merge or after it."""
    _, source, target = pair(world, "clinic", "street")
    sent(world, source, "meals")

    def shown() -> list[Any]:
        """Version and `active` of both records, None where nothing is shown."""
        answers = [world.meals.get(f"Patient/{fid}") for fid in (source, target)]
        bodies = [answer.json() if answer.status_code == 200 else None for answer in answers]
        return [body and (body["meta"]["versionId"], body.get("active"), "identifier" in body) for body in bodies]

    assert shown() == [("1", None, False), None]
    assert asked(world.plan, "merge", source, target, may_see("street")).status_code == 200
    assert shown() == [("2", False, False), None]
    sent(world, target, "meals", by="street")
    assert shown() == [("2", False, False), ("2", None, False)]
    assert asked(world.plan, "unmerge", source, target).status_code == 200
    assert shown() == [("3", None, False), ("3", None, False)]


def test_files_after_a_merge(world: Scene) -> None:
    """A file still naming the former number is told so, drops nobody, and takes no link away."""
    n, source, target = pair(world, "clinic", "clinic")
    assert asked(world.plan, "merge", source, target).status_code == 200  # the clinic sees both already
    done = send(world, as_csv([row(n), row(n + 1, Phone="619-555-0177")]), "delta")[1].json()
    assert [one["Code"] for one in rows_of(world, done, "response")] == ["cin-changed", ""]
    stands = world.member(world.clinic, n)
    assert (stands["id"], stands["telecom"][0]["value"]) == (target, "6195550177")
    assert stands["link"][0]["other"]["reference"] == f"Patient/{source}"
    assert {one["value"] for one in stands["identifier"]} >= {cin(n), f"M{n:06d}"}
    assert status(world.clinic, f"Patient/{source}") == 200
    other = row(n + 1, "shelter", Phone="619-555-0177")
    send(world, as_csv([other]), "delta")
    assert [status(world.clinic, f"Patient/{fid}") for fid in (source, target)] == [404, 404]
    assert [status(world.shelter, f"Patient/{fid}") for fid in (source, target)] == [200, 200]


def test_a_later_full_file_counts_when_a_merge_is_undone(world: Scene) -> None:
    """An unmerge opens nothing that no file in force opens: the full file since then no longer names the source."""
    n, source, target = pair(world, "shelter", "shelter")
    assert asked(world.plan, "merge", source, target).status_code == 200
    world.take_in(world.plan, [row(n + 1, "shelter")])
    undone = asked(world.plan, "unmerge", source, target)
    assert (undone.status_code, references(undone, "back-on-roster")) == (200, [])
    assert seen(world, [n, n + 1], "shelter") == {"shelter": [n + 1]}


def test_a_recall_leaves_a_merge_alone(world: Scene) -> None:
    """The file that put the target in is undone: the source does not come back by itself, but by the unmerge."""
    n = next(NUMBERS)
    send(world, as_csv([row(n, "clinic")]), "delta")
    job, _ = send(world, as_csv([row(n + 1, "clinic")]), "delta")
    source, target = (str(world.member(world.plan, n + at)["id"]) for at in (0, 1))
    assert asked(world.plan, "merge", source, target).status_code == 200
    assert call(world, "recall-file", job).status_code == 200
    assert seen(world, [n, n + 1], "clinic") == {"clinic": []}
    assert world.plan.get(f"Patient/{target}").json()["link"][0]["type"] == "replaces"
    assert asked(world.plan, "unmerge", source, target).status_code == 200
    assert seen(world, [n, n + 1], "clinic") == {"clinic": [n]}


def test_what_was_denied_in_one_record_is_denied_in_both(world: Scene) -> None:
    """A merge narrows what a Consent narrows, and the end of it gives that back."""
    _, source, target = pair(world, "clinic", "clinic")
    provision = {"type": "deny", "actor": [{
        "role": {"coding": [{"system": words.PARTICIPATION_TYPE, "code": "IRCP"}]},
        "reference": {"reference": "Organization/clinic"},
    }]}  # fmt: skip
    consent = {
        "resourceType": "Consent", "status": "active",
        "scope": {"coding": [{"system": words.CONSENT_SCOPE, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{source}"}, "dateTime": "2026-01-01", "provision": provision,
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]},
    }  # fmt: skip
    made(world.plan, consent)
    assert [status(world.clinic, f"Patient/{fid}") for fid in (source, target)] == [404, 200]
    assert asked(world.plan, "merge", source, target).status_code == 200
    assert [status(world.clinic, f"Patient/{fid}") for fid in (source, target)] == [404, 404]
    assert asked(world.plan, "unmerge", source, target).status_code == 200
    assert [status(world.clinic, f"Patient/{fid}") for fid in (source, target)] == [404, 200]


def test_what_cannot_be_merged(world: Scene) -> None:
    """Another plan's record is hidden, a provider has not the right, chains and lost members are refused."""
    n, source, target = pair(world, "clinic", "clinic")
    assert asked(world.other_plan, "merge", source, target).status_code == 404
    assert asked(world.clinic, "merge", source, target).status_code == 403
    assert asked(world.plan, "merge", source, source).status_code == 422
    assert asked(world.plan, "unmerge", source, target).status_code == 422
    world.take_in(world.plan, [row(n + 1)], mode="delta")
    loose = {**world.plan.get(f"Patient/{target}").json(), "identifier": [
        {"system": words.CIN, "value": cin(n + 5), "type": MEDI_CAL}
    ]}  # fmt: skip
    unassigned = made(world.plan, {name: value for name, value in loose.items() if name != "id"})["id"]
    assert asked(world.plan, "merge", source, unassigned).status_code == 422
    by_number = {"name": "source-patient-identifier", "valueIdentifier": {"system": words.CIN, "value": cin(n + 5)}}
    assert asked(world.plan, "merge", source, target, by_number).status_code == 404  # the names contradict each other
    assert asked(world.plan, "merge", source, target).status_code == 200
    assert asked(world.plan, "merge", target, unassigned).status_code == 422
    assert asked(world.plan, "merge", unassigned, source).status_code == 422
    replaced = world.plan.get(f"Patient/{source}").json()
    assert world.plan.put(f"Patient/{source}", {**replaced, "link": []} | {"active": True}).status_code in {400, 422}
    assert world.plan.put(f"Patient/{source}", {**replaced, "active": True}).status_code == 422
    assert world.plan.delete(f"Patient/{target}").status_code == 422
    stands = world.plan.get(f"Patient/{target}").json()
    current = [one for one in stands["identifier"] if one.get("use") != "old"]
    assert world.plan.put(f"Patient/{target}", {**stands, "identifier": current}).status_code == 422


def test_a_preview_stands_alone(world: Scene) -> None:
    """P13, B-59: within a transaction, or under a key, a preview is refused: what is taken back has one of its own."""
    _, source, target = pair(world, "clinic", "clinic")
    sides = {"source-patient": source, "target-patient": target}
    given = [{"name": name, "valueReference": {"reference": f"Patient/{fid}"}} for name, fid in sides.items()]
    preview = {"resourceType": "Parameters", "parameter": [*given, {"name": "preview", "valueBoolean": True}]}
    entry = {"request": {"method": "POST", "url": "Patient/$merge"}, "resource": preview}
    answers = [
        world.plan.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
        world.plan.post("Patient/$merge", preview, headers={"Idempotency-Key": f"preview-{source}"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")
    assert world.plan.post("Patient/$merge", preview).status_code == 200
    done = asked(world.plan, "merge", source, target)
    assert done.status_code == 200, done.text
