"""By POST as by GET, over HTTP, for two principals: worklists, hierarchies, what is current, composites of three."""

from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.scene import organization, stored

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def kept(clinic: Client, stranger: Client, registrar: Client) -> dict[str, dict[str, str]]:
    """Client name -> the id of what it stored, by what it is."""
    clients = {"clinic": clinic, "stranger": stranger}
    return {name: _kept(client, organization(registrar, name)) for name, client in clients.items()}


def _kept(client: Client, mine: dict[str, str]) -> dict[str, str]:
    patient = stored(client, {"resourceType": "Patient", "name": [{"family": "Quintero"}]})["id"]
    about = {"reference": f"Patient/{patient}"}
    whole = stored(client, {"resourceType": "Task", "status": "draft", "intent": "plan", "for": about})["id"]
    part = {"resourceType": "Task", "status": "ready", "intent": "plan", "for": about, "authoredOn": "2026-11-02"}
    part |= {"partOf": [{"reference": f"Task/{whole}"}], "owner": mine}
    code = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]
    }
    allergy = {"resourceType": "AllergyIntolerance", "patient": about, "clinicalStatus": code, "code": {"text": "a"}}
    stretch = {"chromosome": {"coding": [{"code": "X"}]}, "windowStart": 3, "windowEnd": 7}
    sequence = {"resourceType": "MolecularSequence", "coordinateSystem": 0, "patient": about, "referenceSeq": stretch}
    return {
        "whole": whole,
        "Task": stored(client, part)["id"],
        "AllergyIntolerance": stored(client, allergy)["id"],
        "MolecularSequence": stored(client, sequence)["id"],
    }


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("Task", "owner={organization}&status=ready&_sort=-authored-on&_total=accurate"),
        ("Task", "owner={organization}&status=ready,accepted&_sort=authored-on&_count=1&_total=accurate"),
        ("Task", "part-of:below={whole}&_total=accurate"),
        ("Task", "part-of:above={whole}&_total=accurate"),
        ("Task", "part-of.part-of:missing=true&part-of:below=Task/{whole}&_total=accurate"),
        ("AllergyIntolerance", "_list=$current-allergies&_total=accurate"),
        ("MolecularSequence", "chromosome-window-coordinate=X$ge3$lt8&_total=accurate"),
    ],
)
def test_by_post_as_by_get(
    server: LiveServer, clinic: Client, stranger: Client, kept: Any, kind: str, query: str
) -> None:
    """B-49: the same matches and total; each principal its own, and of what is the other's nothing."""
    for name, client in (("clinic", clinic), ("stranger", stranger)):
        asked = query.format(organization=f"Organization/{name}", **kept[name])
        answers = client.get(f"{kind}?{asked}"), client.post(f"{kind}/_search", asked.encode(), headers=FORM)
        for answer in answers:
            assert answer.status_code == 200, answer.text
            assert [one["resource"]["id"] for one in answer.json()["entry"]] == [kept[name][kind]]
            assert answer.json()["total"] == 1
        other = query.format(organization=f"Organization/{name}", **kept["stranger" if name == "clinic" else "clinic"])
        if "{whole}" in query:
            assert client.get(f"{kind}?{other}").json()["total"] == 0


def test_a_task_leaves_its_queue(clinic: Client, kept: Any) -> None:
    """P9, B-52: as soon as a change of its status is acknowledged it stands in the other queue, and deleted in none."""

    def queue(status: str) -> list[str]:
        found = clinic.get(f"Task?owner=Organization/clinic&status={status}&_sort=-authored-on").json()
        return [one["resource"]["id"] for one in found.get("entry", ())]

    basic = clinic.get(f"Task/{kept['clinic']['Task']}").json()
    made = stored(clinic, {name: basic[name] for name in basic if name not in ("id", "meta")} | {"status": "draft"})
    assert queue("draft") == [made["id"]]
    changed = clinic.put(f"Task/{made['id']}", made | {"status": "on-hold"}, headers={"If-Match": 'W/"1"'})
    assert changed.status_code == 200, changed.text
    assert (queue("draft"), queue("on-hold")) == ([], [made["id"]])
    assert clinic.delete(f"Task/{made['id']}").status_code == 204
    assert queue("on-hold") == []
