"""Every operation against callers who may see nothing, and against arguments that make no sense."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.rest.message import Operation
from tests.live import Client, LiveServer
from tests.rest.operations.test_registry import OWN
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

CANARY = "Zqcanary"
VALUES: dict[str, list[Any]] = json.loads(Path(__file__).with_name("hostile.json").read_text())


def inputs(server: LiveServer, row: Operation) -> dict[str, str]:
    """The arguments of an operation with their types, and one that it does not have."""
    definition = server.engine.definitions.resource(row.definition) or {}
    given = (one for one in definition.get("parameter", ()) if one["use"] == "in")
    return {"nonsense": "string"} | {one["name"]: one.get("type", "part") for one in given}


def fitting(kind: str) -> str:
    """The member that carries a value of a type."""
    member = f"value{kind[0].upper()}{kind[1:]}"
    return member if member in VALUES else "part" if kind == "part" else "resource"


def paths(row: Operation, fid: str) -> Iterator[str]:
    for type_ in row.types or ("Patient", "ValueSet"):
        for level in row.levels:
            yield {"instance": f"{type_}/{fid}/${row.name}", "type": f"{type_}/${row.name}"}.get(level, f"${row.name}")


def sensible(row: Operation) -> bool:
    """Whether it is asked here at all: what reads or changes the whole server has tests of its own."""
    return "system" not in row.levels


@pytest.mark.parametrize("seed", range(2))
def test_no_argument_brings_the_server_down(server: LiveServer, clinic: Client, seed: int) -> None:
    """Whatever is sent, the answer is one below 500, with an OperationOutcome where it is no success."""
    chance = random.Random(seed)
    made = stored(clinic, {"resourceType": "Patient", "name": [{"family": "Fuzz"}]})["id"]
    sets = stored(clinic, {"resourceType": "ValueSet", "status": "active", "url": f"urn:fuzz{seed}"})["id"]
    for row in filter(sensible, OWN):
        for path in [*paths(row, made), *paths(row, sets)]:
            for _ in range(3):
                answer = asked(server, clinic, row, path, chance)
                assert answer.status_code < 500, (row.name, path, answer.request.url, answer.request.body)
                if answer.status_code >= 400:
                    assert answer.json()["resourceType"] == "OperationOutcome"


def asked(server: LiveServer, client: Client, row: Operation, path: str, chance: random.Random) -> Any:
    known = inputs(server, row)
    members = {
        name: fitting(kind) if chance.random() < 0.7 else chance.choice(list(VALUES)) for name, kind in known.items()
    }
    chosen = [name for name in known if chance.random() < (0.1 if name == "nonsense" else 0.5)]
    if chance.random() < 0.3:
        pairs = [(name, str(chance.choice(VALUES[members[name]]))) for name in chosen]
        return client.request(chance.choice(["GET", "POST"]), path, params=pairs)
    rows = [{"name": name, members[name]: chance.choice(VALUES[members[name]])} for name in chosen]
    body: Any = {"resourceType": "Parameters", **({"parameter": rows} if rows else {})}
    if chance.random() < 0.2:
        body = chance.choice([*VALUES["resource"], {"resourceType": "Parameters", "parameter": {}}, None, "x"])
    return client.post(path, json.dumps(body).encode())


def test_no_operation_shows_a_stranger_anything(server: LiveServer, clinic: Client, stranger: Client) -> None:
    """Hidden is absent: the same status and the same words for what is there and what is not, at every operation."""
    patient = stored(clinic, {
        "resourceType": "Patient", "name": [{"family": CANARY, "given": ["Ana"]}], "gender": "female",
        "birthDate": "1980-02-03", "identifier": [{"system": "urn:c", "value": CANARY}],
    })  # fmt: skip
    subject = {"reference": f"Patient/{patient['id']}"}
    plan = stored(clinic, {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": subject,
                           "title": CANARY})  # fmt: skip
    note = stored(clinic, {"resourceType": "Composition", "status": "final", "type": {"text": CANARY}, "title": CANARY,
                           "date": "2026", "author": [subject], "subject": subject})  # fmt: skip
    ids = {"Patient": patient["id"], "CarePlan": plan["id"], "Composition": note["id"]}
    person = {name: patient[name] for name in ("resourceType", "name", "gender", "birthDate", "identifier")}
    meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    for row in filter(sensible, OWN):
        for type_ in set(row.types or ids) & set(ids):
            body = {"match": person, "meta-add": meta, "meta-delete": meta}.get(
                row.name, {"resourceType": "Parameters"}
            )
            for path in (path for path in paths(row, ids[type_]) if path.startswith(type_)):
                there = stranger.post(path, body)
                absent = stranger.post(path.replace(ids[type_], "01a20485-0000-7000-8000-000000000000"), body)
                assert (there.status_code, there.text) == (absent.status_code, absent.text), path
                assert there.status_code >= 400 or row.name == "match"
                assert CANARY not in there.text
                assert patient["id"] not in there.text
    assert clinic.get(f"Patient/{patient['id']}").json()["meta"] == patient["meta"]
