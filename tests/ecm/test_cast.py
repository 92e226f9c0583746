"""The cast of the seed, played: each role's files, what is done between them, and exactly what must come of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from seed import cast
from seed.cast import Role
from tests.conftest import FreshUrl
from tests.ecm.files.world import job_of
from tests.ecm.referral import made, organization, sent
from tests.ecm.scene import NPIS, Scene, npi, scene
from tests.live import Client

pytestmark = pytest.mark.heavy

ORGANIZATIONS = {"provider": "clinic", "other-provider": "street", "community": "pantry"}
SITE, TIN = npi(870), "951234570"
NUMBERS = {"provider": NPIS["clinic"], "other-provider": NPIS["street"], "site": SITE}


@dataclass
class Play:
    """A role in a world, and what it remembers from one step to the next."""

    world: Scene
    role: Role
    kept: dict[str, Any] = field(default_factory=dict)

    def client(self, name: str) -> Client:
        """The client of an organization of the cast."""
        return self.world.clients[ORGANIZATIONS.get(name, name)]

    def found(self, by: str, person: int) -> list[dict[str, Any]]:
        """The Patients that an organization finds by a person's CIN."""
        answer = self.client(by).get(f"Patient?identifier={words.CIN}|{self.role.cin(person)}")
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    def patient(self, by: str, person: int) -> dict[str, Any]:
        (found,) = self.found(by, person)
        return found

    def id_of(self, person: int) -> str:
        return str(self.patient("plan", person)["id"])

    def roster(self, provider: str) -> dict[str, Any]:
        return self.world.roster(self.world.plan, provider=ORGANIZATIONS[provider])


def play_file(play: Play, step: Mapping[str, Any]) -> None:
    file, client = step["file"], play.client(step["file"]["by"])
    body = cast.as_csv(cast.rows(play.role, step, NUMBERS, {"tin": TIN}))
    query = {"provider": NUMBERS[file["provider"]]} if "provider" in file else {}
    asked = play.world.kick_off(client, body, file["mode"], **query)
    assert asked.status_code == 202, asked.text
    play.world.work()
    done = client.get(asked.headers["Content-Location"])
    assert done.status_code == 200, done.text
    url = next(one["url"] for one in done.json()["output"] if one["type"] == "response")
    told = csv.DictReader(io.StringIO(client.get(url).content.decode("utf-8"), newline=""))
    assert [[one["Outcome"], one["Code"]] for one in told] == step["outcomes"]
    play.kept["job"] = job_of(asked)


def sees(play: Play, step: Mapping[str, Any]) -> None:
    """Whose record of the first person each organization finds."""
    owners = {name: [one["managingOrganization"]["reference"][13:] for one in play.found(name, 0)] for name in step}
    assert owners == dict(step)


def reads(play: Play, step: Mapping[str, Any]) -> None:
    """Which persons each organization may read."""
    everybody = range(4)
    for name, expected in step.items():
        read = [at for at in everybody if play.client(name).get(f"Patient/{play.id_of(at)}").status_code == 200]
        assert read == expected, name


def shows(play: Play, step: Mapping[str, Any]) -> None:
    shown = play.client(step["by"]).get(f"Patient/{play.id_of(step['member'])}").json().keys()
    assert set(step["has"]) <= shown
    assert not set(step["lacks"]) & shown


def is_so(play: Play, step: Mapping[str, Any]) -> None:
    found = play.patient(step["by"], step["member"])
    assert {name: found.get(name) for name in step["elements"]} == step["elements"]


def put(play: Play, step: Mapping[str, Any]) -> None:
    found = play.patient(step["by"], step["member"])
    answer = play.client(step["by"]).put(f"Patient/{found['id']}", {**found, **step["elements"]})
    assert answer.status_code == 200, answer.text


def refer(play: Play, step: Mapping[str, Any]) -> None:
    play.kept["referral"] = sent(play.world, play.id_of(step["member"]), ORGANIZATIONS[step["to"]])["id"]


def referral(play: Play, step: Mapping[str, Any]) -> None:
    found = play.client(step["by"]).get(f"Task/{play.kept['referral']}").json()
    assert (found["status"], bool(found["statusReason"]["text"])) == (step["status"], True)


def remember(play: Play, step: Mapping[str, Any]) -> None:
    play.kept[step["as"]] = play.patient(step["by"], step["member"])["id"]


def same(play: Play, step: Mapping[str, Any]) -> None:
    assert play.patient(step["by"], step["member"])["id"] == play.kept[step["as"]]


def remember_roster(play: Play, step: Mapping[str, Any]) -> None:
    found = play.roster(step["provider"])
    play.kept[step["as"]] = f"Group/{found['id']}/_history/{found['meta']['versionId']}"


def roster_then(play: Play, step: Mapping[str, Any]) -> None:
    """Which persons a past version of a roster lists, those it tells to have left not counted."""
    entries = play.world.plan.get(play.kept[step["as"]]).json().get("member", [])
    listed = {one["entity"]["reference"] for one in entries if change_of(one) != "dropped"}
    assert [at for at in range(1) if f"Patient/{play.id_of(at)}" in listed] == step["lists"]


def change_of(entry: Mapping[str, Any]) -> str:
    return next(str(one["valueCode"]) for one in entry["extension"] if one["url"] == words.CHANGE_TYPE)


def returns(play: Play, step: Mapping[str, Any]) -> None:
    group, period = play.roster(step["provider"])["id"], step["period"]
    answer = play.client(step["provider"]).get(f"Group/{group}/$export-return-file?period={period}")
    assert answer.status_code == 200, answer.text
    rows = csv.DictReader(io.StringIO(answer.content.decode("utf-8"), newline=""))
    (row,) = [one for one in rows if play.role.cin(step["member"]) in one.values()]
    assert {name: row[name] for name in step["cells"]} == step["cells"]


def site(play: Play, step: Mapping[str, Any]) -> None:
    """A site of a provider, under its tax identifier, as the plan notes it."""
    name = ORGANIZATIONS[step["of"]]
    tin, own = {"system": words.TIN, "value": TIN}, play.world.clients[name]
    entry = own.get(f"Organization/{name}").json()
    entry["identifier"].append(tin)
    assert own.put(f"Organization/{name}", entry).status_code == 200
    numbered = {"identifier": [{"system": words.NPI, "value": SITE}, tin], "name": "A site", "active": True}
    part = {"partOf": {"reference": f"Organization/{name}"}}
    made(play.world.plan, {"resourceType": "Organization", **numbered, **part})


def team(play: Play, step: Mapping[str, Any]) -> None:
    """A care team by which an organization may see a person."""
    team = {"resourceType": "CareTeam", "status": "active", "participant": [{"member": organization(step["with"])}]}
    made(play.client(step["by"]), {**team, "subject": {"reference": f"Patient/{play.id_of(step['member'])}"}})


def records(play: Play, step: Mapping[str, Any]) -> None:
    """Something that an organization writes of a person: a Condition."""
    category = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "problem-list-item"}]
    }
    active = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    condition = {
        "resourceType": "Condition", "subject": {"reference": f"Patient/{play.id_of(step['member'])}"},
        "category": [category], "clinicalStatus": active, "code": {"text": "As the unit has it"},
    }  # fmt: skip
    play.kept["record"] = made(play.client(step["by"]), condition)["id"]


def record(play: Play, step: Mapping[str, Any]) -> None:
    for name, status in step.items():
        assert play.client(name).get(f"Condition/{play.kept['record']}").status_code == status, name


def decide(play: Play, step: Mapping[str, Any]) -> None:
    given = [
        {"name": "job", "valueString": play.kept["job"]},
        {"name": "row", "valueInteger": 3},
        {"name": "decision", "valueCode": step["decision"]},
    ]
    answer = play.world.plan.post("Group/$decide-parked", {"resourceType": "Parameters", "parameter": given})
    assert answer.status_code == 200, answer.text


STEPS: dict[str, Callable[[Play, Mapping[str, Any]], None]] = {
    "sees": sees, "reads": reads, "shows": shows, "is": is_so, "set": put, "refer": refer, "referral": referral,
    "remember": remember, "same": same, "remember-roster": remember_roster, "roster-then": roster_then,
    "returns": returns, "site": site, "team": team, "records": records, "record": record, "decide": decide,
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(database_kind: str, fresh_url: FreshUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The world of `scene`, with a Part 2 unit."""
    with scene(fresh_url(database_kind), tmp_path_factory.mktemp("cast")) as found:
        found.clients["unit"] = found.server.client("unit", law_class="part2")
        own = {"organization": "Organization/unit", "law_class": "part2", "rights": "update-create"}
        entry = {"resourceType": "Organization", "id": "unit", "active": True, "name": "Unit"}
        assert found.server.client("unit-setup", **own).put("Organization/unit", entry).status_code == 201
        yield found


@pytest.mark.parametrize("role", list(cast.roles()), ids=lambda role: role.name)
def test_a_role(stage: Scene, role: Role) -> None:
    """R3, what it must show, 1: the named cast, each with its exact result, on both databases."""
    play = Play(stage, role)
    for step in role.steps:
        if "file" in step:
            play_file(play, step)
            continue
        ((name, content),) = step.items()
        STEPS[name](play, content)
