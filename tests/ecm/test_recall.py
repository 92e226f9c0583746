"""Files recalled: what they alone had opened is closed, what others said or wrote stays, and who read is told."""

from itertools import count

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm.files.world import call, rows_of, seen, send
from tests.ecm.scene import HEADERS, NPIS, Scene, as_csv, cin, npi, row

pytestmark = pytest.mark.heavy
NUMBERS = count(400_000, 100)


def people(first: int, how_many: int, provider: str = "clinic", **cells: str) -> bytes:
    return as_csv([row(number, provider, **cells) for number in range(first, first + how_many)])


def phone(world: Scene, number: int) -> str:
    return str(world.member(world.plan, number)["telecom"][0]["value"])


def test_one_load_undone(world: Scene) -> None:
    """R3 1: access that the file opened is closed at once, facts are as before, what the provider wrote stays."""
    first = next(NUMBERS)
    send(world, people(first, 2), "delta")
    job, done = send(world, people(first, 4, Phone="619-555-0188"), "delta")
    assert done.json()["summary"]["changed"] == done.json()["summary"]["new"] == 2
    opened = world.member(world.clinic, first + 3)["id"]
    plan = {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": f"Patient/{opened}"},
    }
    own = world.clinic.post("CarePlan", plan).json()["id"]
    recalled = call(world, "recall-file", job)
    assert recalled.status_code == 200, recalled.text
    manifest = recalled.json()
    assert manifest["summary"] == {"restored": 2, "closed": 2, "opened": 4}
    assert seen(world, range(first, first + 4), "clinic")["clinic"] == [first, first + 1]
    assert [phone(world, number) for number in range(first, first + 2)] == ["6195550101"] * 2
    assert world.clinic.get(f"CarePlan/{own}").status_code == 200
    assert world.clinic.get(f"Patient/{opened}").status_code == 404
    assert call(world, "recall-file", job).status_code == 422
    again = send(world, people(first, 4, Phone="619-555-0188"), "delta")[1].json()
    assert again["summary"]["changed"] == again["summary"]["new"] == 2


def test_who_read_which_members_meanwhile(world: Scene) -> None:
    """R3 1: the list names client, member, time and how often, without the plan's own reads and others' misses."""
    first = next(NUMBERS)
    job, _ = send(world, people(first, 3, "street"), "delta")
    patient = world.member(world.street, first)["id"]
    assert world.street.get(f"Patient/{patient}").status_code == 200
    assert world.stranger.get(f"Patient/{patient}").status_code == 404
    assert world.plan.get(f"Patient/{patient}").status_code == 200
    shown = world.roster(world.street, provider="street")
    assert len(shown["member"]) >= 3
    manifest = call(world, "recall-file", job).json()
    told = rows_of(world, manifest, "readers")
    assert {(one["Organization"], one["Client"]) for one in told} == {("Organization/street", "street")}
    times = {one["CIN"]: int(one["Times"]) for one in told}
    assert times.keys() == {cin(first), cin(first + 1), cin(first + 2)}  # the roster showed them all
    assert times[cin(first)] >= 3 > times[cin(first + 1)]
    assert all(one["First Read"] <= one["Last Read"] for one in told)
    assert told[0]["Patient"] == f"Patient/{patient}"


def test_what_later_files_said_stays(world: Scene) -> None:
    """A later file's word holds, even where it only repeated what the recalled file had said."""
    a = next(NUMBERS)
    b, c, d = a + 1, a + 2, a + 3
    early, _ = send(world, as_csv([row(n) for n in (a, b, c, d)]), "delta")
    later = [row(a), row(b, Phone="619-555-0122"), row(c, "shelter")]
    send(world, as_csv(later), "delta")
    assert call(world, "recall-file", early).json()["summary"] == {"restored": 0, "closed": 1, "opened": 4}
    assert seen(world, [a, b, c, d], "clinic", "shelter") == {"clinic": [a, b], "shelter": [c]}
    assert phone(world, b) == "6195550122"


def test_files_recalled_one_after_the_other(world: Scene) -> None:
    """What no file in force says is gone, in whatever order the files are recalled."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        a = next(NUMBERS)
        jobs = [send(world, people(a, 1, name), "delta")[0] for name in ("clinic", "street", "clinic")]
        left = ["clinic", "street", "clinic"]
        for at in order:
            call(world, "recall-file", jobs[at])
            left[at] = ""
            last = next((name for name in reversed(left) if name), "")
            wanted = {name: [a] if name == last else [] for name in ("clinic", "street")}
            assert seen(world, [a], "clinic", "street") == wanted, (order, at)


def test_a_recalled_full_file_brings_back_whom_it_dropped(world: Scene) -> None:
    first = next(NUMBERS)
    keep = as_csv([row(first, "shelter"), row(first + 1, "shelter")])
    send(world, keep)
    full, done = send(world, as_csv([row(first, "shelter")]))
    assert done.json()["summary"]["dropped"] >= 1
    again, _ = send(world, as_csv([row(first, "shelter")]))
    assert call(world, "recall-file", full).json()["summary"]["restored"] == 0  # the second one drops it, too
    assert seen(world, [first, first + 1], "shelter")["shelter"] == [first]
    assert call(world, "recall-file", again).json()["summary"]["restored"] >= 1
    assert seen(world, [first, first + 1], "shelter")["shelter"] == [first, first + 1]


def organization(number: str, **more: object) -> dict[str, object]:
    found = {"resourceType": "Organization", "name": "New", "active": True}
    return {**found, "identifier": [{"system": words.NPI, "value": number}], **more}


def test_a_parked_row_is_resolved_when_its_provider_is_known(world: Scene) -> None:
    """R3 1: parked with its clock, taken in by $resolve-parked, undone with the file that it came with."""
    a, unknown = next(NUMBERS), npi(811)
    job, done = send(world, as_csv([row(a, **{"ECM Provider NPI": unknown})]), "delta")
    assert done.json()["summary"]["parked"] == 1
    (told,) = rows_of(world, done.json(), "response")
    assert (told["Outcome"], told["Code"]) == ("parked", "unknown-provider")
    assert not world.plan.get(f"Organization?identifier={words.NPI}|{unknown}").json().get("entry")
    listed = world.plan.get("Group/$parked-rows").text
    line = next(one for one in listed.splitlines() if cin(a) in one)
    assert line.startswith(f"{job},2,unknown-provider,")
    assert ",N,90" in line or ",N,94" in line  # not overdue
    assert cin(a) not in world.other_plan.get("Group/$parked-rows").text
    assert call(world, "resolve-parked").json()["summary"]["taken-in"] == 0
    assert world.plan.post("Organization", organization(unknown)).status_code == 201
    assert call(world, "resolve-parked").json()["summary"]["taken-in"] == 1
    assert world.member(world.plan, a)["id"]
    assert cin(a) not in world.plan.get("Group/$parked-rows").text
    assert call(world, "recall-file", job).json()["summary"]["closed"] == 1


def test_a_parked_row_sent_again_alone(world: Scene) -> None:
    """R3 1: the corrected row goes through with the response's four columns still on it; the parked one is closed."""
    a, b = next(NUMBERS), next(NUMBERS)
    _, done = send(world, as_csv([row(b), row(a, **{"ECM Provider NPI": npi(812)})]), "delta")
    told = rows_of(world, done.json(), "response")
    corrected = [{**told[1], "ECM Provider NPI": NPIS["clinic"]}]
    body = as_csv(corrected, (*HEADERS, "Outcome", "Code", "Message", "Advice"))
    again = send(world, body, "correction")[1].json()
    assert (again["summary"]["accepted"], again["summary"]["new"], again["summary"]["dropped"]) == (1, 1, 0)
    assert seen(world, [a, b], "clinic")["clinic"] == [a, b]
    assert cin(a) not in world.plan.get("Group/$parked-rows").text
    assert rows_of(world, again, "response")[0]["Outcome"] == "accepted"


def test_a_full_file_without_the_parked_member_ends_the_waiting(world: Scene) -> None:
    a, unknown = next(NUMBERS), npi(813)
    send(world, as_csv([row(a, **{"ECM Provider NPI": unknown})]), "delta")
    made = world.plan.post("Organization", organization(unknown)).json()
    send(world, as_csv([row(a + 1, **{"ECM Provider NPI": unknown})]))
    assert cin(a) not in world.plan.get("Group/$parked-rows").text
    assert call(world, "resolve-parked").json()["summary"]["taken-in"] == 0
    assert made["id"]


def test_a_recalled_file_gives_back_what_it_had_replaced(world: Scene) -> None:
    """A parked row that a file replaced waits again once that file is recalled."""
    a = next(NUMBERS)
    send(world, as_csv([row(a, **{"ECM Provider NPI": npi(814)})]), "delta")
    job, _ = send(world, as_csv([row(a)]), "delta")
    assert cin(a) not in world.plan.get("Group/$parked-rows").text
    call(world, "recall-file", job)
    assert cin(a) in world.plan.get("Group/$parked-rows").text
    assert seen(world, [a], "clinic")["clinic"] == []
