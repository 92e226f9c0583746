"""What is current, as _list names it (B-48), against a plain filter, for whoever sees half of it as well."""

import random
from contextlib import closing

import pytest

from fhir_server.store.db import open_database
from tests.search.stored import World

OTHER = 2
CLINICAL = "http://terminology.hl7.org/CodeSystem/"


def coded(*codes):
    return {"coding": [{"system": f"{CLINICAL}some", "code": code} for code in codes]}


def condition(rng):
    made = {"clinicalStatus": coded(rng.choice(["active", "recurrence", "relapse", "resolved", "inactive"]))}
    made |= {"verificationStatus": coded(rng.choice(["confirmed", "entered-in-error"]))} if rng.random() < 0.5 else {}
    kinds = [["problem-list-item"], ["encounter-diagnosis"], ["problem-list-item", "encounter-diagnosis"]]
    return made | ({"category": [coded(*rng.choice(kinds))]} if rng.random() < 0.8 else {})


def allergy(rng):
    made = {
        "clinicalStatus": coded(rng.choice(["active", "resolved"])),
        "category": [rng.choice(["food", "medication"])],
    }
    return made | {"verificationStatus": coded(rng.choice(["confirmed", "refuted"]))}


def statement(rng):
    return {"status": rng.choice(["active", "completed", "stopped"])}


def request(rng):
    return {"status": rng.choice(["active", "stopped"]), "intent": rng.choice(["order", "plan", "proposal"])}


MAKERS = {
    "Condition": condition,
    "AllergyIntolerance": allergy,
    "MedicationStatement": statement,
    "MedicationRequest": request,
}


def codes(value):
    return {coding["code"] for one in value if one for coding in one["coding"]}


def is_problem(one):
    active = codes([one["clinicalStatus"]]) & {"active", "recurrence", "relapse"}
    return active and "encounter-diagnosis" not in codes(one.get("category", [])) and is_right(one)


def is_right(one):
    return not codes([one.get("verificationStatus")]) & {"entered-in-error", "refuted"}


def is_allergy(one):
    return "active" in codes([one["clinicalStatus"]]) and is_right(one)


CURRENT = [
    ("Condition", "$current-problems", is_problem),
    ("AllergyIntolerance", "$current-allergies", is_allergy),
    ("AllergyIntolerance", "$current-drug-allergies", lambda one: is_allergy(one) and "medication" in one["category"]),
    ("MedicationStatement", "$current-medications", lambda one: one["status"] == "active"),
    ("MedicationRequest", "$current-medications", lambda one: (one["status"], one["intent"]) == ("active", "order")),
]


@pytest.fixture(scope="module")
def world(module_database_url):
    rng = random.Random(4)
    subject = {"subject": {"reference": "Patient/p"}, "patient": {"reference": "Patient/p"}}
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        for number in range(120):
            kind = rng.choice(sorted(MAKERS))
            resource = {"resourceType": kind, "id": f"{kind[:2]}{number}", **MAKERS[kind](rng), **subject}
            made.store([resource], owner=OTHER if number % 2 else 1)
        yield made


@pytest.mark.parametrize("hidden", [-1, OTHER])
@pytest.mark.parametrize(("kind", "name", "holds"), CURRENT)
def test_what_is_current(world, kind, name, holds, hidden):
    """B-48: the functional lists of R4, of one patient or of all, among others types' resources too."""
    stored = [one for at, one in enumerate(world.resources.values()) if hidden != OTHER or at % 2 == 0]
    expected = {one["id"] for one in stored if one["resourceType"] == kind and holds(one)}
    assert expected
    for more in ("", "&patient=p", "&_sort=_id"):
        assert set(world.ids(kind, f"_list={name}{more}", hidden)) == expected
    assert world.ids(kind, f"_list={name}&patient=q", hidden) == []
    assert set(world.ids("", f"_type={kind}&_list={name}", hidden)) == expected
