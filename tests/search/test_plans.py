"""How many rows a selective search touches in a large store, read off the plans that both databases really ran.

The number of resources is set by ECM_PLAN_RESOURCES. What PostgreSQL calls a sequential scan is switched off in our
sessions, so a search without an index would walk an index from end to end: rows touched tell, names of nodes do not.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.classes import ALL
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse as parse_scopes
from fhir_server.fhir.definitions import type_number
from fhir_server.search.run import Page
from fhir_server.store import statements
from fhir_server.store.db import open_database
from fhir_server.store.hashing import rh
from fhir_server.store.rows import Batch
from fhir_server.store.tables import access, res
from fhir_server.store.word_tables import words
from tests.search.stored import LISTS, PARAMS, World, extractor, searcher

pytestmark = pytest.mark.long

SIZE = int(os.environ.get("ECM_PLAN_RESOURCES", "60000"))
PATIENTS = SIZE // 4
PLAN, PROVIDER = "Organization/plan", "Organization/provider"
NOW = 1_800_000_000_000
MOST_ROWS, MOST_STEPS = 12_000, 600_000  # of a selective search, whatever the size of the store
SEEN_BY_PROVIDER = 20  # every twentieth patient
SCANS = {"Index Scan", "Index Only Scan", "Seq Scan", "Bitmap Heap Scan", "Bitmap Index Scan", "Function Scan"}


def resources(number: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    patient = {"reference": f"Patient/p{number}"}
    day = f"{rng.randint(1940, 2010)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    authored = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    owner = {"reference": f"Organization/o{number % 200}"}
    yield {
        "resourceType": "Patient", "id": f"p{number}", "gender": "female", "birthDate": day, "active": True,
        "name": [{"family": f"Family{number % 997:03d}x{number}", "given": ["Ana"]}],
        "identifier": [{"system": "urn:mrn", "value": f"M{number}"}],
    }  # fmt: skip
    yield {"resourceType": "CarePlan", "id": f"c{number}", "status": "active", "intent": "plan", "subject": patient}
    status = "active" if number % 3 else "completed"
    yield {
        "resourceType": "ServiceRequest", "id": f"s{number}", "status": status, "intent": "order", "subject": patient,
        "authoredOn": authored,
    }  # fmt: skip
    yield {
        "resourceType": "Task", "id": f"t{number}", "status": "requested" if number % 40 == 0 else "completed",
        "intent": "order", "for": patient, "owner": owner, "focus": {"reference": f"CarePlan/c{number}"},
        "identifier": [{"system": "urn:t", "value": f"T{number}"}], "description": f"word{number % 5000} common",
    }  # fmt: skip


@pytest.fixture(scope="module")
def world(module_database_url: str) -> Iterator[World]:
    with closing(open_database(module_database_url)) as database:
        rng, extract, rid = random.Random(3), extractor(), 1000
        for start in range(0, PATIENTS, 2500):
            batch = Batch()
            for number in range(start, min(start + 2500, PATIENTS)):
                for resource in resources(number, rng):
                    rid += 2
                    add(batch, extract, rid, resource, f"Patient/p{number}")
                if number % SEEN_BY_PROVIDER == 0:
                    batch.add(access, 1, 0, rh(PROVIDER), "TREAT", rh(f"Patient/p{number}"), ALL, 0, 2**62)
            database.write(batch.flush)
        if database.dialect == "postgresql":
            database.read().exec_driver_sql("ANALYZE")
        yield World(database, searcher=searcher())


def add(batch: Batch, extract: Any, rid: int, resource: dict[str, Any], patient: str) -> None:
    kind, fid = resource["resourceType"], resource["id"]
    body = str(resource).encode()
    batch.add(
        res, 1, 0, rid, type_number(kind), fid, 0, rh(f"{kind}/{fid}"), 1, NOW - rid, False, rh(PLAN), rh(patient), 0,
        1, 0, body,
    )  # fmt: skip
    found = extract.rows(kind, resource)
    for name, table in LISTS.items():
        batch.extend(table, [(1, 0, values[0], rid, *values[1:]) for values in getattr(found, name)])
    batch.extend(words, [(rid, 1, 0, *texts) for texts in found.words])


def view(organization: str) -> Visible:
    return Visible(Caller("c", organization, rh(organization), "covered", parse_scopes("system/*.rs"), "TREAT"), NOW)


SEARCHES = [
    ("Patient", "identifier=urn:mrn|M4000"),
    ("Patient", "name=family123"),
    ("Patient", "birthdate=ge1950-01-01&birthdate=lt1950-02-01"),
    ("Patient", "birthdate=ge1950-01-01&birthdate=lt1950-02-01&_total=accurate&_count=5"),
    ("Patient", "identifier=urn:mrn|M4000&_include=Patient:organization&_revinclude=CarePlan:patient"),
    ("Patient", "identifier=urn:mrn|M4000&_revinclude=*"),
    ("Patient", "_id=p4000"),
    ("Patient", "_has:Task:patient:identifier=urn:t|T4000"),
    ("Patient", "_count=20"),
    ("Patient", "gender=female&_count=20"),
    ("Patient", '_filter=identifier eq urn:mrn|M4000 or family sw "Family123x"'),
    ("CarePlan", "patient=p4000"),
    ("CarePlan", "subject:Patient.identifier=urn:mrn|M4000"),
    ("ServiceRequest", "status=active&authored=ge2026-03-01&authored=lt2026-03-03"),
    ("Task", "owner=Organization/o40&status=requested&_sort=-_lastUpdated"),
    ("Task", "_content=word4000 common"),
    ("Task", "_lastUpdated=gt2020&_count=20"),
    ("", "_type=Task,Patient&_count=20"),
    ("", "_id=p4000"),
]


def searched(world: World, organization: str, kind: str, text: str, within: str = "") -> Page:
    pairs = [tuple(pair.split("=", 1)) for pair in text.split("&") if pair]
    query = world.searcher.parse(kind, pairs, within=within)
    return world.searcher.search(world.database.read(), query, view(organization), identity="x", now_ms=NOW)


@pytest.mark.parametrize("organization", [PLAN, PROVIDER])
@pytest.mark.parametrize(("kind", "text"), SEARCHES)
def test_a_selective_search_touches_few_rows(
    world: World, monkeypatch: pytest.MonkeyPatch, organization: str, kind: str, text: str
) -> None:
    """Issue of speed: by index only, under the caller's view, for the owner of all and for whom few are visible."""
    assert touched(world, monkeypatch, lambda: searched(world, organization, kind, text)) > 0


@pytest.mark.parametrize(("kind", "within"), [("Task", "Patient/p4000"), ("", "Patient/p4000")])
def test_a_compartment_touches_few_rows(world: World, monkeypatch: pytest.MonkeyPatch, kind: str, within: str) -> None:
    """B-50: one walk along the references to the patient."""
    assert touched(world, monkeypatch, lambda: searched(world, PLAN, kind, "", within)) > 0
    assert len(searched(world, PLAN, kind, "", within).hits) == (1 if kind else 3)


def test_what_is_asked_finds_something(world: World) -> None:
    """The searches above are no empty ones."""
    for kind, text in SEARCHES:
        assert searched(world, PLAN, kind, text).hits, text
    assert len(PARAMS) > 2000


def touched(world: World, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> int:
    """Rows touched (PostgreSQL) or steps of the virtual machine (SQLite) of all statements; fails beyond the bound."""
    if world.database.dialect == "sqlite":
        steps = [0]
        act()  # compiles the statements
        driver = world.database.read().connection.driver_connection
        driver.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 100)
        try:
            act()
        finally:
            driver.set_progress_handler(None, 0)
        assert steps[0] * 100 <= MOST_STEPS
        return 1 + steps[0] * 100
    plans: list[Any] = []
    original = statements.run

    def explain(connection: Any, sql: str, values: Any) -> Any:
        plans.append((sql, original(connection, f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {sql}", values)[0][0]))
        return original(connection, sql, values)

    monkeypatch.setattr(statements, "run", explain)
    act()
    for sql, plan in plans:
        rows, nodes = of(plan[0]["Plan"], 1)
        assert "Seq Scan" not in nodes, sql
        assert rows <= MOST_ROWS, (rows, sql)
    return len(plans)


def of(node: dict[str, Any], loops: float) -> tuple[float, set[str]]:
    """The rows that the scans of a plan read, and the kinds of its nodes."""
    own = 0.0
    if node["Node Type"] in SCANS:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        own = (node["Actual Rows"] + removed) * node["Actual Loops"]
    rows, nodes = own, {node["Node Type"]}
    for child in node.get("Plans", ()):
        more, kinds = of(child, loops)
        rows, nodes = rows + more, nodes | kinds
    return rows, nodes
