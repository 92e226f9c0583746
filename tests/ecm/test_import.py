"""Assignment files over real HTTP: what each kind of file changes, and what it leaves as it was."""

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.formats import FORMATS
from tests.ecm.scene import HEADERS, Scene, as_csv, cin, npi, row, table

pytestmark = pytest.mark.heavy

NUMBERS = count(1000)
DAY = 86_400_000


def some(how_many: int) -> list[int]:
    """Numbers of members that no other test uses."""
    return [next(NUMBERS) for _ in range(how_many)]


def changed(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Types of resources that are new or have a new version."""
    return sorted(name.partition("/")[0] for name, version in after.items() if before.get(name) != version)


def entries(roster: Mapping[str, Any]) -> dict[str, str]:
    """Patient reference -> change type of a roster's members."""
    found = {}
    for one in roster.get("member", []):
        kinds = [part["valueCode"] for part in one["extension"] if part["url"] == words.CHANGE_TYPE]
        found[one["entity"]["reference"]] = kinds[0]
    return found


def change_of(world: Scene, client: Any, number: int, provider: str = "clinic") -> str | None:
    """The change type of a member in the roster, as this client sees it; None if it is not shown."""
    patient = world.member(world.plan, number)["id"]
    return entries(world.roster(client, provider=provider)).get(f"Patient/{patient}")


def test_first_load(world: Scene):
    """EC-20: members become Patient, Coverage, CareTeam, Provenance and roster; the provider sees them at once."""
    a, b = some(2)
    done = world.take_in(world.plan, [row(a), row(b, Phone="619-555-0102")], mode="delta")
    assert done["summary"] == {
        "rows": 2, "accepted": 2, "warnings": 0, "parked": 0, "rejected": 0, "new": 2, "changed": 0, "unchanged": 0,
        "dropped": 0,
    }  # fmt: skip
    patient = world.member(world.clinic, a)
    assert patient["managingOrganization"] == {"reference": "Organization/plan"}
    for type_ in ("Coverage", "CareTeam", "Provenance"):
        found = world.clinic.get(f"{type_}?patient=Patient/{patient['id']}").json()
        assert len(found.get("entry", [])) == 1, type_
    origin = world.clinic.get(f"Provenance?patient=Patient/{patient['id']}").json()["entry"][0]["resource"]
    assert origin["entity"][0]["extension"] == [{"url": words.SOURCE_ROW, "valueInteger": 2}]
    assert change_of(world, world.clinic, a) == "new"
    for other in (world.street, world.stranger, world.pantry, world.other_plan):
        assert other.get(f"Patient/{patient['id']}").status_code == 404
        assert "entry" not in other.get(f"Patient?identifier={words.CIN}|{cin(a)}").json()
    group = world.roster(world.plan)["id"]
    assert world.stranger.get(f"Group/{group}").status_code == 404


def test_the_same_again_writes_nothing(world: Scene):
    """EC-22, AT-30: same content in another order, spelling, column order, format and with other file facts."""
    numbers = some(7)
    rows = [row(number) for number in numbers]
    world.take_in(world.plan, rows, mode="delta")
    shuffled = [
        {**one, "Phone": "(619) 555 0101", "Date of Birth": "1984-05-02", "CIN": one["CIN"].lower() + " "}
        for one in reversed(rows)
    ]
    headers = tuple(reversed(HEADERS))
    xlsx = b"".join(FORMATS["xlsx"].write(table(rows, headers)))
    files = [
        (as_csv(rows), "text/csv"),
        (as_csv(shuffled, headers), "text/csv"),
        (as_csv(shuffled, headers, "|"), FORMATS["pipe"].media_types[0]),
        (xlsx, FORMATS["xlsx"].media_types[0]),
    ]
    tables, versions = world.counts(), world.versions()
    for body, kind in files:
        done = world.take_in(world.plan, body, mode="delta", kind=kind)
        assert (done["summary"]["unchanged"], done["summary"]["rejected"]) == (7, 0), kind
        assert done["rosters"][0]["published"] is None
        assert world.counts() == tables, kind
        assert world.versions() == versions, kind


def test_one_changed_telephone(world: Scene):
    """Only that Patient has a new version, with its Provenance and the roster's; its member reads changed."""
    a, b = some(2)
    world.take_in(world.plan, [row(a), row(b)], mode="delta")
    before = world.versions()
    done = world.take_in(world.plan, [row(a), row(b, Phone="619-555-0199")], mode="delta")
    assert (done["summary"]["changed"], done["summary"]["unchanged"]) == (1, 1)
    assert changed(before, world.versions()) == ["Group", "Patient", "Provenance"]
    assert world.member(world.clinic, b)["telecom"][0]["value"] == "6195550199"
    assert (change_of(world, world.plan, a), change_of(world, world.plan, b)) == ("nochange", "changed")


def test_absent_from_a_full_file(world: Scene):
    """Dropped, never deleted: the provider's access ends with that transaction, the plan's does not."""
    a, b = some(2)
    world.take_in(world.plan, [row(a, "street"), row(b, "street")])
    patient = world.member(world.plan, b)["id"]
    plan = {"resourceType": "CarePlan", "status": "active", "intent": "plan",
            "subject": {"reference": f"Patient/{patient}"}}  # fmt: skip
    by_plan = world.plan.post("CarePlan", plan).json()["id"]
    own = world.street.post("CarePlan", plan).json()["id"]
    team = world.street.get(f"CareTeam?patient=Patient/{patient}").json()["entry"][0]["resource"]["id"]
    assert world.street.get(f"CarePlan/{by_plan}").status_code == 200
    done = world.take_in(world.plan, [row(a, "street")])
    assert done["summary"]["dropped"] == 1
    for path in (f"Patient/{patient}", f"CarePlan/{by_plan}", f"CareTeam/{team}"):
        assert world.street.get(path).status_code == 404, path
    assert world.street.get(f"CarePlan/{own}").status_code == 200  # R3: an author keeps its own record
    assert world.plan.get(f"Patient/{patient}").status_code == 200
    assert world.plan.get(f"CareTeam/{team}").json()["status"] == "inactive"
    assert change_of(world, world.plan, b, "street") == "dropped"
    assert change_of(world, world.street, b, "street") is None
    again = world.take_in(world.plan, [row(a, "street")])
    assert again["summary"]["dropped"] == 0
    assert again["rosters"][0]["published"] is None


def test_absent_from_a_delta_file(world: Scene):
    """A delta file says nothing of those it does not name."""
    a, b = some(2)
    world.take_in(world.plan, [row(a), row(b)], mode="delta")
    done = world.take_in(world.plan, [row(a, Phone="619-555-0177")], mode="delta")
    assert done["summary"]["dropped"] == 0
    assert world.member(world.clinic, b)["id"]


def test_a_rejected_row_drops_nobody(world: Scene):
    """A row that cannot be read changes nothing for its member: neither its data nor its assignment."""
    a, b = some(2)
    world.take_in(world.plan, [row(a, "shelter"), row(b, "shelter")])
    bad = row(b, "shelter", **{"Last Name": ""})
    done = world.take_in(world.plan, [row(a, "shelter"), bad])
    assert (done["summary"]["rejected"], done["summary"]["dropped"]) == (1, 0)
    assert world.member(world.shelter, b)["name"][0]["family"] == f"Family{b}"


def test_moved_to_another_provider(world: Scene):
    """Truth table 24: the old provider's access ends and the new one's begins in the same transaction."""
    (a,) = some(1)
    world.take_in(world.plan, [row(a)], mode="delta")
    patient = world.member(world.clinic, a)["id"]
    done = world.take_in(world.plan, [row(a, "street")], mode="delta")
    assert (done["summary"]["new"], done["summary"]["dropped"]) == (1, 1)
    assert world.clinic.get(f"Patient/{patient}").status_code == 404
    assert world.clinic.get(f"Coverage?patient=Patient/{patient}").json().get("entry") is None
    assert world.member(world.street, a)["id"] == patient
    assert change_of(world, world.plan, a, "clinic") == "dropped"
    assert change_of(world, world.street, a, "street") == "new"
    back = world.take_in(world.plan, [row(a)], mode="delta")
    assert (back["summary"]["new"], back["summary"]["dropped"]) == (1, 1)
    assert world.clinic.get(f"Patient/{patient}").status_code == 200
    assert world.street.get(f"Patient/{patient}").status_code == 404


def test_added_again_after_a_drop(world: Scene):
    """The same Patient comes back; its member reads new."""
    a, b = some(2)
    world.take_in(world.plan, [row(a, "street"), row(b, "street")])
    patient = world.member(world.street, b)["id"]
    world.take_in(world.plan, [row(a, "street")])
    done = world.take_in(world.plan, [row(a, "street"), row(b, "street")])
    assert done["summary"]["new"] == 1
    assert world.member(world.street, b)["id"] == patient
    assert change_of(world, world.street, b, "street") == "new"
    team = world.street.get(f"CareTeam?patient=Patient/{patient}&status=active").json()
    assert len(team["entry"]) == 1


def test_an_assignment_that_begins_later(world: Scene):
    """Access begins with the day of the assignment and ends after the last day of the authorization."""
    a, b = some(2)
    future = {"Assignment Date": "01/01/2090", "Authorization Start Date": "01/01/2090"}
    ended = {"Authorization End Date": "01/31/2026"}
    world.take_in(world.plan, [row(a, **future), row(b, **ended)], mode="delta")
    for number in (a, b):
        patient = world.member(world.plan, number)["id"]
        for type_ in ("Coverage", "CareTeam"):
            assert "entry" not in world.clinic.get(f"{type_}?patient=Patient/{patient}").json()
        assert world.clinic.get(f"Patient/{patient}").status_code == 404
        assert change_of(world, world.plan, number) == "new"
        assert change_of(world, world.clinic, number) is None


def test_a_shortened_authorization_ends_access(world: Scene):
    """The care team that came with an assignment does not outlive it."""
    (a,) = some(1)
    world.take_in(world.plan, [row(a)], mode="delta")
    patient = world.member(world.clinic, a)["id"]
    world.take_in(world.plan, [row(a, **{"Authorization End Date": "02/28/2026"})], mode="delta")
    assert world.clinic.get(f"Patient/{patient}").status_code == 404
    world.take_in(world.plan, [row(a, **{"Authorization End Date": "02/28/2099"})], mode="delta")
    assert world.clinic.get(f"Patient/{patient}").status_code == 200


BAD_ROWS = [
    ("bad-npi", "ECM Provider NPI", {"ECM Provider NPI": "1234567890"}),
    ("bad-cin", "CIN", {"CIN": "1234"}),
    ("missing", "Last Name", {"Last Name": ""}),
    ("missing", "CIN", {"CIN": " "}),
    ("end-before-start", "Authorization End Date", {"Authorization End Date": "01/01/2020"}),
    ("bad-date", "Date of Birth", {"Date of Birth": "31/31/1984"}),
]


@pytest.mark.parametrize(("code", "column", "cells"), BAD_ROWS)
def test_rejected_rows(world: Scene, code: str, column: str, cells: dict[str, str]):
    """Row 108: 202, and the response file names row, column, code and advice; the other rows are taken in."""
    a, b = some(2)
    done = world.take_in(world.plan, [row(a), row(b, **cells)], mode="delta")
    assert (done["summary"]["accepted"], done["summary"]["rejected"]) == (1, 1)
    good, bad = world.response(world.plan, done)
    assert [good["CIN"], good["Outcome"], good["Code"], good["Message"], good["Advice"]] == [
        cin(a), "accepted", "", "", ""
    ]  # fmt: skip
    assert (bad["Outcome"], bad["Code"]) == ("rejected", code)
    assert {header: bad[header] for header in HEADERS} == row(b, **cells)
    assert bad["Message"].startswith("Row 3: ")
    assert column.rsplit(maxsplit=1)[-1] in bad["Message"]
    assert bad["Advice"]
    assert "entry" not in world.plan.get(f"Patient?identifier={words.CIN}|{cin(b)}").json()


def test_a_member_named_twice(world: Scene):
    """Row 108: the first row counts, whichever provider the second one names."""
    (a,) = some(1)
    done = world.take_in(world.plan, [row(a), row(a), row(a, "street")], mode="delta")
    assert [one["Code"] for one in world.response(world.plan, done)] == ["", "duplicate-member", "duplicate-member"]
    assert done["summary"]["rejected"] == 2
    assert world.member(world.clinic, a)["id"]
    assert world.street.get(f"Patient?identifier={words.CIN}|{cin(a)}").json().get("entry") is None


def test_an_identifier_of_another_member(world: Scene):
    """What only the store can know is in the response file as well, and nothing of the row is stored."""
    a, b = some(2)
    before = len(world.versions())
    done = world.take_in(world.plan, [row(a), row(b, **{"Plan Member ID": f"M{a:06d}"})], mode="delta")
    assert (done["summary"]["accepted"], done["summary"]["rejected"]) == (1, 1)
    bad = world.response(world.plan, done)[1]
    assert (bad["Outcome"], bad["Code"]) == ("rejected", "duplicate-identifier")
    assert "entry" not in world.plan.get(f"Patient?identifier={words.CIN}|{cin(b)}").json()
    assert len(world.versions()) == before + 4  # Patient, Coverage, CareTeam, Provenance
    right = world.take_in(world.plan, [row(b)], mode="delta")
    assert right["summary"]["new"] == 1


def test_a_bad_optional_field_is_left_out(world: Scene):
    """Accepted with warnings: the member is there, the telephone is not."""
    (a,) = some(1)
    done = world.take_in(world.plan, [row(a, Phone="12", County="Atlantis")], mode="delta")
    assert done["summary"]["warnings"] == 1
    (one,) = world.response(world.plan, done)
    assert one["Outcome"] == "accepted-with-warnings"
    assert set(one["Code"].split("; ")) == {"bad-phone", "bad-code"}
    patient = world.member(world.clinic, a)
    assert "telecom" not in patient
    assert "district" not in patient["address"][0]


def test_two_plans_with_one_person(world: Scene):
    """Each plan has its own Patient; a provider of both sees both; neither plan's file touches the other's members."""
    (a,) = some(1)
    world.take_in(world.plan, [row(a)], mode="delta")
    mine = world.member(world.plan, a)["id"]
    world.take_in(world.other_plan, [row(a)])
    theirs = world.member(world.other_plan, a)["id"]
    assert mine != theirs
    found = world.clinic.get(f"Patient?identifier={words.CIN}|{cin(a)}").json()["entry"]
    assert {one["resource"]["id"] for one in found} == {mine, theirs}
    assert world.other_plan.get(f"Patient/{mine}").status_code == 404
    (b,) = some(1)
    before = world.versions()[f"Patient/{mine}"]
    world.take_in(world.other_plan, [row(b)])  # a is absent, so dropped by the other plan alone
    assert world.clinic.get(f"Patient/{theirs}").status_code == 404
    assert world.clinic.get(f"Patient/{mine}").status_code == 200
    assert world.versions()[f"Patient/{mine}"] == before


def test_a_deleted_patient_is_made_anew(world: Scene):
    """The plan may delete its record; the next file that names the member makes another."""
    (a,) = some(1)
    world.take_in(world.plan, [row(a)], mode="delta")
    first = world.member(world.plan, a)["id"]
    assert world.plan.delete(f"Patient/{first}").status_code == 204
    done = world.take_in(world.plan, [row(a)], mode="delta")
    assert done["summary"]["rejected"] == 0
    second = world.member(world.clinic, a)["id"]
    assert second != first
    assert f"Patient/{first}" not in entries(world.roster(world.plan))


def test_labels_that_the_plan_added_stay(world: Scene):
    """A file says nothing of security labels, so it takes none away."""
    (a,) = some(1)
    world.take_in(world.plan, [row(a)], mode="delta")
    patient = world.member(world.plan, a)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "BH"}
    patient["meta"] = {"profile": patient["meta"]["profile"], "security": [label]}
    assert world.plan.put(f"Patient/{patient['id']}", patient).status_code == 200
    done = world.take_in(world.plan, [row(a, Phone="619-555-0133")], mode="delta")
    assert done["summary"]["changed"] == 1, world.response(world.plan, done)
    assert world.member(world.plan, a)["meta"]["security"] == [label]


def test_what_a_provider_wrote_into_the_team_stays(world: Scene):
    """The provider names the lead care manager; a later file keeps the team in step and its people."""
    (a,) = some(1)
    world.take_in(world.plan, [row(a)], mode="delta")
    patient = world.member(world.clinic, a)["id"]
    team = world.clinic.get(f"CareTeam?patient=Patient/{patient}").json()["entry"][0]["resource"]
    lead = {"role": [{"coding": [{"system": words.CARE_TEAM_ROLES, "code": words.LEAD_CARE_MANAGER}]}],
            "member": {"display": "Lead"}, "onBehalfOf": {"reference": "Organization/clinic"}}  # fmt: skip
    team["participant"].append(lead)
    assert world.clinic.put(f"CareTeam/{team['id']}", team).status_code == 200
    world.take_in(world.plan, [row(a, **{"Authorization End Date": "06/30/2098"})], mode="delta")
    kept = world.clinic.get(f"CareTeam/{team['id']}").json()
    assert kept["participant"][-1]["onBehalfOf"] == {"reference": "Organization/clinic"}
    assert kept["period"]["end"] == "2098-06-30"


def test_an_unregistered_npi_becomes_known(world: Scene):
    """The advice of an unknown provider can be followed: register it, send the file again."""
    (a,) = some(1)
    number = npi(700 + a)
    rows = [row(a, **{"ECM Provider NPI": number})]
    assert world.take_in(world.plan, rows, mode="delta")["summary"]["parked"] == 1
    organization = {"resourceType": "Organization", "name": "New", "active": True,
                    "identifier": [{"system": words.NPI, "value": number}]}  # fmt: skip
    assert world.plan.post("Organization", organization).status_code == 201
    assert world.take_in(world.plan, rows, mode="delta")["summary"]["accepted"] == 1
