"""How many rows a selective search touches in a large store, read off the plans that both databases really ran.

The number of resources is set by ECM_PLAN_RESOURCES. What PostgreSQL calls a sequential scan is switched off in our
sessions, so a search without an index would walk an index from end to end: rows touched tell, names of nodes do not.
"""

import os
import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from fhir_server.access.classes import ALL
from fhir_server.store.db import open_database
from fhir_server.store.hashing import rh
from fhir_server.store.rows import Batch
from fhir_server.store.tables import access
from tests.search.plans import PLAN, PROVIDER, Most, add, searched, touched
from tests.search.stored import PARAMS, World, extractor, searcher

pytestmark = pytest.mark.long

SIZE = int(os.environ.get("ECM_PLAN_RESOURCES", "60000"))
PATIENTS = SIZE // 4
SEEN_BY_PROVIDER = 20  # every twentieth patient


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
        "authoredOn": authored, "contained": [{
            "resourceType": "Device", "id": "d", "status": status,
            "identifier": [{"system": "urn:d", "value": f"D{number}"}],
        }],
    }  # fmt: skip
    yield {
        "resourceType": "Task", "id": f"t{number}", "status": "requested" if number % 40 == 0 else "completed",
        "intent": "order", "for": patient, "owner": owner, "focus": {"reference": f"CarePlan/c{number}"},
        "authoredOn": authored,
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


SEARCHES = [
    ("Patient", "identifier=urn:mrn|M4000"),
    ("Patient", "name=family123"),
    ("Patient", "name=family1&_count=20"),
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
    ("Task", "owner=Organization/o40&status=requested&_sort=-authored-on&_count=20"),
    ("Task", "owner=Organization/o40&status=requested,accepted&_sort=authored-on&_count=20"),
    ("Task", "_content=word4000 common"),
    ("Task", "_lastUpdated=gt2020&_count=20"),
    ("", "_type=Task,Patient&_count=20"),
    ("", "_id=p4000"),
    ("Device", "identifier=urn:d|D4000&_contained=true"),
    ("Device", "identifier=urn:d|D4000&_contained=both&_containedType=contained&_total=accurate"),
    ("Device", "_contained=true&_count=20"),
    ("Device", "_contained=both&_containedType=contained&_count=20"),
    ("Device", "status=active&_contained=both&_count=20"),
    ("Device", "status=active&_contained=true&_containedType=contained&_count=20"),
]


@pytest.mark.parametrize("organization", [PLAN, PROVIDER])
@pytest.mark.parametrize(("kind", "text"), SEARCHES)
def test_a_selective_search_touches_few_rows(world: World, organization: str, kind: str, text: str) -> None:
    """Issue of speed: by index only, under the caller's view, for the owner of all and for whom few are visible."""
    assert touched(world, lambda: searched(world, organization, kind, text)) > 0


@pytest.mark.parametrize(("kind", "within"), [("Task", "Patient/p4000"), ("", "Patient/p4000")])
def test_a_compartment_touches_few_rows(world: World, kind: str, within: str) -> None:
    """B-50: one walk along the references to the patient."""
    assert touched(world, lambda: searched(world, PLAN, kind, "", within)) > 0
    assert len(searched(world, PLAN, kind, "", within).hits) == (1 if kind else 3)


def test_what_is_contained_costs_other_searches_nothing(world: World) -> None:
    """Thousands of contained Devices with this status, in lists that a search for Devices does not walk."""
    assert searched(world, PLAN, "Device", "status=active&_contained=true&_summary=count").total == PATIENTS // 3 * 2
    assert touched(world, lambda: searched(world, PLAN, "Device", "status=active"), Most(10, 5_000)) > 0


def test_what_is_asked_finds_something(world: World) -> None:
    """The searches above are no empty ones."""
    for kind, text in SEARCHES:
        assert searched(world, PLAN, kind, text).hits, text
    assert len(PARAMS) > 2000
