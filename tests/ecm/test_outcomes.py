"""What the plan's steps end with changes roster, care team and access as a file of that member would, at once."""

import itertools
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm.referral import issue, organization
from tests.ecm.scene import Scene, as_csv, cin, row
from tests.ecm.test_import_jobs import LEASE, killed
from tests.ecm.test_requests import MEALS, begun, due, ended, found, request_of, steps, submitted

pytestmark = pytest.mark.heavy

NUMBERS = itertools.count(700)
MEDICAID = {"coding": [{"system": words.IDENTIFIER_TYPE, "code": "MA"}]}
WHY = {"statusReason": {"text": "The test says so."}}


def told(number: str, start: str, end: str) -> dict[str, Any]:
    """The extension of an authorization."""
    parts = [{"url": "number", "valueString": number}, {"url": "period", "valuePeriod": {"start": start, "end": end}}]
    return {"url": words.AUTHORIZATION, "extension": parts}


def output(provider: str) -> list[dict[str, Any]]:
    """An assignment to a provider, by the member's preference."""
    basis = {"coding": [{"system": words.BASES, "code": "member-preference"}]}
    return [
        {"type": {"text": "provider"}, "valueReference": organization(provider)},
        {"type": {"text": "basis"}, "valueCodeableConcept": basis},
    ]


def member(world: Scene, provider: str = "clinic", **cells: str) -> tuple[int, str]:
    """A member whom a file assigns; number and Patient id."""
    number = next(NUMBERS)
    world.take_in(world.plan, [row(number, provider, **cells)], mode="delta")
    return number, world.member(world.plan, number)["id"]


def step(world: Scene, patient: str, code: str, outcome: str, by: str = "plan", **more: Any) -> Any:
    """The answer to the outcome of a step that somebody began."""
    task = begun(world.clients[by], patient, by, code)
    assert task.status_code == 201, task.text
    extension = [*task.json()["extension"], *more.pop("extension", [])]
    return ended(world.plan, task.json(), outcome, extension=extension, **more)


def entry(world: Scene, provider: str, patient: str, who: str = "plan") -> dict[str, Any] | None:
    """The member's entry of the roster of a provider, as somebody reads it."""
    listed = world.roster(world.clients[who], "plan", provider).get("member", [])
    return next((one for one in listed if one["entity"]["reference"] == f"Patient/{patient}"), None)


def sees(world: Scene, patient: str) -> set[str]:
    """The providers who see the Patient now."""
    names = ("clinic", "street", "shelter")
    return {name for name in names if world.clients[name].get(f"Patient/{patient}").status_code == 200}


def teams(world: Scene, patient: str) -> set[tuple[str, str]]:
    """(status, provider) of the member's care teams."""
    listed = found(world.plan, f"CareTeam?patient=Patient/{patient}")
    return {(one["status"], one["managingOrganization"][0]["reference"].partition("/")[2]) for one in listed}


def extensions(listed: dict[str, Any], url: str) -> list[dict[str, Any]]:
    """The extensions of a roster's entry with this URL."""
    return [one for one in listed["extension"] if one["url"] == url]


def test_an_assignment_opens_the_door(world: Scene) -> None:
    """Policy Guide: authorized, then assigned; a member whom no file has named is on the roster, with the period."""
    number = next(NUMBERS)
    world.take_in(world.plan, [row(next(NUMBERS), "shelter")], mode="delta")
    body = {
        "resourceType": "Patient", "meta": {"profile": [words.PATIENT]}, "gender": "female", "birthDate": "1984-05-02",
        "identifier": [{"type": MEDICAID, "system": words.CIN, "value": cin(number)}],
        "managingOrganization": organization("plan"),
        "name": [{"use": "official", "family": "Written", "given": ["By hand"]}],
        "telecom": [{"system": "phone", "value": "6195550144"}],
    }  # fmt: skip
    made = world.plan.post("Patient", body)
    assert made.status_code == 201, made.text
    patient = made.json()["id"]
    request = request_of(world, submitted(world.pantry, number))
    (authorize,) = steps(world, request, "authorize")
    span = told("A-77", "2026-11-01", "2027-10-31")
    assert ended(world.plan, authorize, "authorized", extension=[*authorize["extension"], span]).status_code == 200
    assert sees(world, patient) == set()
    (assign,) = steps(world, request, "assign")
    assert span in assign["extension"]
    before = world.roster(world.plan, "plan", "shelter")["meta"]["versionId"]
    done = ended(world.plan, assign, "assigned", output=output("shelter"))
    assert done.status_code == 200, done.text
    assert sees(world, patient) == {"shelter"}
    listed = entry(world, "shelter", patient, "shelter")
    assert listed is not None
    assert extensions(listed, words.CHANGE_TYPE) == [{"url": words.CHANGE_TYPE, "valueCode": "new"}]
    assert listed["period"] == {"start": "2026-11-01", "end": "2027-10-31"}
    assert teams(world, patient) == {("active", "shelter")}
    assert int(world.roster(world.plan, "plan", "shelter")["meta"]["versionId"]) == int(before) + 1
    assert world.plan.get(f"Patient/{patient}").json() == made.json()
    assert [one["payor"] for one in found(world.plan, f"Coverage?beneficiary=Patient/{patient}")] == [
        [organization("plan")]
    ]
    (reassess,) = steps(world, request, "reassess")
    assert due(reassess)
    assert span not in reassess["extension"]


def test_a_change_of_provider_moves_access_at_once(world: Scene) -> None:
    """Policy Guide, change of provider: the former one reads no more, its care team ends; the next one reads."""
    _, patient = member(world)
    assert sees(world, patient) == {"clinic"}
    done = step(world, patient, "change-provider", "changed", by="clinic", output=output("street"))
    assert done.status_code == 200, done.text
    assert sees(world, patient) == {"street"}
    assert teams(world, patient) == {("inactive", "clinic"), ("active", "street")}
    assert entry(world, "street", patient, "street")
    left = entry(world, "clinic", patient)
    assert left is None or left["inactive"]
    back = step(world, patient, "change-provider", "changed", output=output("clinic"))
    assert back.status_code == 200, back.text
    assert (sees(world, patient), teams(world, patient)) == (
        {"clinic"}, {("active", "clinic"), ("inactive", "street")},
    )  # fmt: skip


def test_who_is_discontinued_or_not_confirmed_leaves(world: Scene) -> None:
    """A discontinuation, a presumptive authorization that is not confirmed, a reauthorization that is denied."""
    ended_span = {"Authorization Start Date": "01/15/2025", "Authorization End Date": "01/14/2026"}
    ended_span["Assignment Date"] = "01/15/2025"
    cases = [
        ("discontinue", "discontinued", {}, set()), ("decide-presumptive", "not-confirmed", {}, set()),
        ("authorize", "not-authorized", {}, {"clinic"}), ("authorize", "not-authorized", ended_span, set()),
        ("discontinue", "continued", {}, {"clinic"}),
    ]  # fmt: skip
    for code, outcome, cells, left in cases:
        _, patient = member(world, **cells)
        by = "clinic" if code == "decide-presumptive" else "plan"
        done = step(world, patient, code, outcome, by=by, **WHY)
        assert done.status_code == 200, done.text
        assert sees(world, patient) == left, (code, outcome)
        listed = entry(world, "clinic", patient)
        stays = bool(left)
        assert (listed is not None and not listed.get("inactive", False)) is stays
        assert teams(world, patient) == {("active" if stays else "inactive", "clinic")}


def test_an_authorization_is_on_the_roster(world: Scene) -> None:
    """Number and period of an authorization stand where the member does; a step that says none changes nothing."""
    _, patient = member(world)
    version = world.roster(world.plan)["meta"]["versionId"]
    assert step(world, patient, "authorize", "authorized").status_code == 200
    assert world.roster(world.plan)["meta"]["versionId"] == version
    span = told("R-2", "2026-12-01", "2027-05-31")
    assert step(world, patient, "authorize", "authorized", extension=[span]).status_code == 200
    listed = entry(world, "clinic", patient, "clinic")
    assert listed is not None
    (seen,) = extensions(listed, words.AUTHORIZATION)
    assert span["extension"][0] in seen["extension"]
    assert listed["period"]["end"] == "2027-05-31"
    task = begun(world.clinic, patient, "clinic", "decide-presumptive").json()
    forged = {**task, "extension": [*task["extension"], told("X", "2026-01-01", "2099-01-01")]}
    answer = world.clinic.put(f"Task/{task['id']}", forged, headers={"If-Match": 'W/"1"'})
    assert issue(answer) == (422, "business-rule")


def test_a_community_support_changes_no_roster(world: Scene) -> None:
    """Rosters are of ECM: who gets a meal is not assigned to the kitchen."""
    number, patient = member(world)
    request = request_of(world, submitted(world.pantry, number, MEALS))
    (authorize,) = steps(world, request, "authorize")
    assert ended(world.plan, authorize, "authorized").status_code == 200
    (assign,) = steps(world, request, "assign")
    assert ended(world.plan, assign, "assigned", output=output("meals")).status_code == 200
    assert (sees(world, patient), teams(world, patient)) == ({"clinic"}, {("active", "clinic")})


@pytest.mark.parametrize("provider", ["pantry", "stranger"])
def test_nobody_is_assigned_whom_a_file_could_not_name(world: Scene, provider: str) -> None:
    """An organization without a registered NPI: 422, and nothing changes."""
    _, patient = member(world)
    before = world.counts()
    done = step(world, patient, "change-provider", "changed", output=output(provider))
    assert issue(done) == (422, "business-rule")
    assert sees(world, patient) == {"clinic"}
    assert {name: count - before[name] for name, count in world.counts().items() if name in {"member", "rel"}} == {
        "member": 0, "rel": 0,
    }  # fmt: skip


def test_an_assignment_is_a_plans(world: Scene) -> None:
    """R12: who keeps a Patient of its own and has no right to assign puts nobody on a provider's roster."""
    body = {"resourceType": "Patient", "name": [{"family": "Own", "given": ["X"]}], "birthDate": "1984-05-02"}
    patient = world.stranger.post("Patient", body).json()["id"]
    task = begun(world.stranger, patient, "stranger", "assign", owner=organization("stranger"))
    assert task.status_code == 201, task.text
    done = ended(world.stranger, task.json(), "assigned", output=output("clinic"))
    assert issue(done) == (422, "business-rule")
    assert "right assign" in done.text
    assert world.clinic.get(f"Patient/{patient}").status_code == 404


def test_no_other_entry_of_the_bundle_writes_a_roster(world: Scene) -> None:
    """What the server may do for an outcome the transaction beside it may not: all of it is refused."""
    _, patient = member(world)
    task = begun(world.plan, patient, "plan", "discontinue").json()
    said = {"coding": [{"system": words.STEP_OUTCOMES, "code": "discontinued"}]}
    over = {**task, "status": "completed", "businessStatus": said, **WHY}
    group = world.roster(world.plan)
    forged = {**{name: value for name, value in group.items() if name != "member"}, "name": "Mine"}
    entries = [
        {"resource": over, "request": {"method": "PUT", "url": f"Task/{task['id']}", "ifMatch": 'W/"1"'}},
        {"resource": forged, "request": {"method": "PUT", "url": f"Group/{group['id']}"}},
    ]
    answer = world.plan.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 422, answer.text
    assert sees(world, patient) == {"clinic"}


def test_recalling_a_file_keeps_what_a_step_said(world: Scene) -> None:
    """The step's word has its place among the files': who was moved stays moved, who was discontinued stays gone."""
    moved, gone, fresh = next(NUMBERS), next(NUMBERS), next(NUMBERS)
    world.take_in(world.plan, [row(moved), row(gone)], mode="delta")
    patients = [world.member(world.plan, number)["id"] for number in (moved, gone)]
    assert step(world, patients[0], "change-provider", "changed", output=output("street")).status_code == 200
    over = step(world, patients[1], "discontinue", "discontinued", **WHY)
    assert over.status_code == 200
    later = [row(fresh), row(fresh + 50, "street")]
    sent = world.kick_off(world.plan, as_csv(later), "delta")
    world.work()
    job = sent.headers["Content-Location"].rpartition("/")[2]
    assert (sees(world, patients[0]), sees(world, patients[1])) == ({"street"}, set())
    recalled = world.plan.post(f"Group/$recall-file?job={job}", None)
    assert recalled.status_code == 202, recalled.text
    world.work()
    assert found(world.plan, f"Patient?identifier={words.CIN}|{cin(fresh)}")
    assert (sees(world, patients[0]), sees(world, patients[1])) == ({"street"}, set())
    assert sees(world, world.member(world.plan, fresh)["id"]) == set()
    assert world.plan.post(f"Group/$recall-file?job={over.json()['id']}", None).status_code == 404


def test_the_last_word_counts_whoever_spoke_it(world: Scene) -> None:
    """A file after the step says what it says: the member is back with the provider whom the plan's file names."""
    number, patient = member(world)
    assert step(world, patient, "discontinue", "discontinued", **WHY).status_code == 200
    world.take_in(world.plan, [row(number, "shelter")], mode="delta")
    assert sees(world, patient) == {"shelter"}


def test_a_step_waits_while_a_file_is_taken_in(world: Scene) -> None:
    """409 with Retry-After: the half of a file is never published as the word of a step, so that it can be recalled."""
    _, patient = member(world)
    task = begun(world.plan, patient, "plan", "discontinue").json()
    fresh = next(NUMBERS)
    assert world.kick_off(world.plan, as_csv([row(fresh)]), "delta").status_code == 202
    killed(world, 1)
    answer = ended(world.plan, task, "discontinued", **WHY)
    assert (issue(answer), "Retry-After" in answer.headers) == ((409, "conflict"), True)
    assert sees(world, patient) >= {"clinic"}
    world.move_clock(LEASE)
    world.work()
    assert ended(world.plan, task, "discontinued", **WHY).status_code == 200
    assert sees(world, patient) == set()
    assert sees(world, world.member(world.plan, fresh)["id"]) == {"clinic"}
