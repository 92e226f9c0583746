"""Patient/$purge over HTTP, on both databases: nothing is left but the audit trail."""

import re
from pathlib import Path
from typing import Any

import pytest

from fhir_server.engine import audit
from fhir_server.store.hashing import rh
from fhir_server.store.rows import Batch
from fhir_server.store.tables import member, ref, rel
from tests.live import Client, LiveServer
from tests.rest.scene import organization, stored

NOTED = {"setting": 1}  # that there is to be a second look: a hash, for a minute or an hour


@pytest.fixture(scope="module")
def eraser(server: LiveServer, registrar: Client) -> Client:
    for name in ("clinic", "stranger"):
        organization(registrar, name)
    return server.client("eraser", organization="Organization/clinic", rights="purge")


def rows(server: LiveServer, marker: str) -> dict[str, int]:
    """How many rows of each table hold these bytes, in whatever column."""
    from fhir_server.store.tables import metadata  # noqa: PLC0415 - the tables as they are when asked

    found = {}
    for table in metadata.tables.values():
        if table.name in {"audit", "words"}:
            continue
        for row in server.engine.database.read().execute(table.select()):
            if any(marker.encode() in (v if isinstance(v, bytes) else str(v).encode()) for v in row):
                found[table.name] = found.get(table.name, 0) + 1
    return found


def record(client: Client, name: str) -> dict[str, Any]:
    """A Patient with two versions, a Condition, a deleted Observation."""
    patient = stored(client, {"resourceType": "Patient", "name": [{"family": name, "given": ["Ana"]}],
                              "identifier": [{"system": "urn:member", "value": name}]})  # fmt: skip
    client.put(f"Patient/{patient['id']}", {**patient, "active": True})
    subject = {"reference": f"Patient/{patient['id']}"}
    asserter = {"resourceType": "Practitioner", "id": name, "name": [{"family": name}]}
    condition = stored(client, {"resourceType": "Condition", "subject": subject, "code": {"text": name},
                                "contained": [asserter], "asserter": {"reference": f"#{name}"}})  # fmt: skip
    stored(client, {"resourceType": "CareTeam", "status": "active", "subject": subject,
                    "participant": [{"member": {"reference": "Organization/stranger"}}]})  # fmt: skip
    stored(
        client,
        {
            "resourceType": "Consent",
            "status": "active",
            "patient": subject,
            "dateTime": "2026-01-01",
            "scope": {"text": "a"},
            "category": [{"text": "a"}],
            "policyRule": {"text": "a"},
            "organization": [{"reference": "Organization/clinic"}],
            "provision": {
                "type": "deny",
                "actor": [{"role": {"text": "a"}, "reference": {"reference": "Organization/stranger"}}],
            },
        },
    )
    gone = stored(
        client, {"resourceType": "Observation", "status": "final", "subject": subject, "code": {"text": name}}
    )
    client.delete(f"Observation/{gone['id']}")
    return {"patient": patient["id"], "condition": condition["id"], "gone": gone["id"]}


def test_nothing_is_left_but_the_audit_trail(server: LiveServer, clinic: Client, eraser: Client) -> None:
    """Every version, index row, key and share goes; the trail stays whole and names what was removed."""
    name = "Zzyzxpurge"
    made = record(clinic, name)
    kept = record(clinic, "Staying")
    assert rows(server, name)["hist"] >= 2
    hashed = str(rh(f"Patient/{made['patient']}"))
    assert {"rel", "directive", "ref", "res"} <= set(rows(server, hashed))
    answer = eraser.post(f"Patient/{made['patient']}/$purge", {"resourceType": "Parameters"})
    assert answer.status_code == 200, answer.text
    assert "1 CareTeam, 1 Condition, 1 Consent, 1 Observation, 1 Patient" in answer.text
    assert rows(server, name) == {}
    assert rows(server, hashed) == NOTED
    assert {where: n for where, n in rows(server, made["patient"]).items() if where != "idempotency"} == {}
    for path in (f"Patient/{made['patient']}", f"Condition/{made['condition']}", f"Patient/{made['patient']}/_history",
                 f"Observation/{made['gone']}/_history/1"):  # fmt: skip
        assert eraser.get(path).status_code == 404
    assert clinic.get(f"Patient?name={name}").json()["total"] == 0
    assert clinic.get(f"Condition/{kept['condition']}").status_code == 200
    assert stored(clinic, {"resourceType": "Patient", "identifier": [{"system": "urn:member", "value": name}]})
    count, broken = audit.verify(server.engine.database, server.engine.secret)
    assert (count > 0, broken) == (True, None)
    sql = "SELECT entities FROM audit WHERE interaction = 'purge'"
    told = b"".join(bytes(row[0]) for row in server.engine.database.read().exec_driver_sql(sql))
    for reference in (f"Patient/{made['patient']}", f"Condition/{made['condition']}", f"Observation/{made['gone']}"):
        assert reference.encode() in told


def test_relations_and_rosters_forget_it(server: LiveServer, clinic: Client, eraser: Client) -> None:
    """Whoever made them: a relation by another's resource, a member of a roster and what finds it there."""
    made = record(clinic, "Forgotten")
    patient, group = rh(f"Patient/{made['patient']}"), rh("Group/roster")

    def work(connection: Any) -> None:
        batch = Batch()
        batch.add(rel, 1, 0, patient, rh("Organization/other"), "treating", 0, 2**62, rh("CareTeam/theirs"), 0, 0)
        batch.add(
            member, 1, 0, group, patient, "k", made["patient"], "", "", "", "new", 1, 2**31 - 1, 0, 2**62, 0, b"{}", b""
        )
        batch.add(ref, 1, 0, server.engine.params["Group", "member"], 4711, patient)
        batch.add(ref, 1, 0, server.engine.params["Condition", "subject"], 4712, patient)
        batch.flush(connection)

    server.engine.database.write(work)
    assert eraser.post(f"Patient/{made['patient']}/$purge", {"resourceType": "Parameters"}).status_code == 200
    assert rows(server, str(patient)) == {"ref": 1, **NOTED}  # by which another organization finds its own Condition


def test_who_may_purge(server: LiveServer, clinic: Client, stranger: Client, eraser: Client) -> None:
    """The right, the scope, the view and the ownership: each is asked."""
    made = record(clinic, "Guarded")
    here = f"Patient/{made['patient']}/$purge"
    body = {"resourceType": "Parameters"}
    thief = server.client("thief", rights="purge")
    narrow = server.client("purge-narrow", organization="Organization/clinic", scopes="system/*.rs", rights="purge")
    partly = server.client(
        "purge-partly", organization="Organization/clinic", scopes="system/Patient.cruds", rights="purge"
    )
    assert partly.post(here, body).status_code == 403  # it would leave the Condition behind
    assert clinic.post(here, body).status_code == 403
    assert narrow.post(here, body).status_code == 403
    assert thief.post(here, body).json() == thief.post("Patient/absent/$purge", body).json()
    assert thief.post(here, body).status_code == 404
    assert eraser.get(here).status_code == 405
    assert clinic.get(f"Condition/{made['condition']}").status_code == 200


def test_a_deleted_patient_can_be_purged(clinic: Client, eraser: Client) -> None:
    """What was deleted is still there until it is purged."""
    made = stored(clinic, {"resourceType": "Patient", "name": [{"family": "Late"}]})["id"]
    clinic.delete(f"Patient/{made}")
    assert clinic.get(f"Patient/{made}").status_code == 410
    assert eraser.post(f"Patient/{made}/$purge", {"resourceType": "Parameters"}).status_code == 200
    assert clinic.get(f"Patient/{made}").status_code == 404


def test_an_id_that_is_taken_again_can_be_purged_again(eraser: Client, server: LiveServer) -> None:
    """Who may choose ids can take that of a purged Patient; what is noted of the first purge is in nobody's way."""
    chooser = server.client("chooser", organization="Organization/clinic", rights="update-create")
    for _ in range(2):
        made = chooser.put("Patient/taken-twice", {"resourceType": "Patient", "id": "taken-twice"})
        assert made.status_code == 201, made.text
        assert eraser.post("Patient/taken-twice/$purge", {"resourceType": "Parameters"}).status_code == 200


def test_every_table_has_its_answer() -> None:
    """A2: who adds a table says in ADR 65 what a purge does with it, or why not."""
    from fhir_server.store.tables import metadata  # noqa: PLC0415 - the tables as they are when asked

    text = (Path(__file__).parents[3] / "docs" / "adr" / "0065-a-purge-takes-the-copies-along.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert sorted(set(metadata.tables) - named) == []
