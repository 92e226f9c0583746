"""Results in an order that was asked for (B-46)."""

from contextlib import closing

import pytest

from fhir_server.fhir.values import parse_date
from fhir_server.store.db import open_database
from fhir_server.store.hashing import rh
from tests.search import oracle
from tests.search.stored import World, updated
from tests.search.world import AMOUNTS, DATED, REFERENCES, STRINGS, TOKENS, generate

STORED = generate(seed=7, count=250)


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store(STORED)
        yield made


def key_of(world, kind, code, rid, descending):
    """The value a resource is sorted by; (True,) = missing, which comes last."""
    resource = world.resources[rid]
    if code == "_id":
        return resource["id"]
    if code == "_lastUpdated":
        return updated(rid)
    if "." in code:
        step, inner = code.split(".")
        path, targets, _ = REFERENCES[kind][step.partition(":")[0]]
        target = step.partition(":")[2] or targets[0]
        rids = {f"{one['resourceType']}/{one['id']}": rid for rid, one in world.resources.items()}
        found = [rids[text] for text in oracle.references(resource, path) if text in rids]
        there = [rid for rid in found if world.resources[rid]["resourceType"] == target]
        values = [key_of(world, target, inner, rid, descending) for rid in there]
        found = [value for value in values if value is not None]
    elif code in REFERENCES[kind]:
        found = [rh(text) for text in oracle.references(resource, REFERENCES[kind][code][0])]
    elif code == "_profile":
        found = [one for url in oracle.walk(resource, "meta.profile") for one in (url, url.partition("|")[0])]
    elif code in AMOUNTS.get(kind, {}):
        found = [low for low, _, _ in oracle.amounts(resource, AMOUNTS[kind][code])]
    elif code in DATED[kind]:
        found = [low for low, _ in oracle.spans(resource, DATED[kind][code])]
    elif code in STRINGS.get(kind, {}):
        found = [oracle.plain(" ".join(text.split())) for text in oracle.strings(resource, STRINGS[kind][code])]
    else:
        found = [value for _, value in oracle.tokens(resource, TOKENS[kind][code][0]) if value]
    return (max(found) if descending else min(found)) if found else None


def expected_order(world, kind, sort):
    """Sorted stably from the last key to the first; row numbers decide between equals, in the last key's direction."""
    rids = [rid for rid, one in world.resources.items() if one["resourceType"] == kind]
    words = sort.split(",")
    rids.sort(reverse=words[-1].startswith("-"))
    for word in reversed(words):
        down, code = word.startswith("-"), word.removeprefix("-")
        keys = {rid: key_of(world, kind, code, rid, down) for rid in rids}
        there = [rid for rid in rids if keys[rid] is not None and keys[rid] != oracle.START]
        rids = sorted(there, key=lambda rid, keys=keys: keys[rid], reverse=down)  # stable in both directions
        rids += [rid for rid in keys if rid not in set(there)]
    return [world.resources[rid]["id"] for rid in rids]


SORTS = [
    ("Patient", "_id"),
    ("Patient", "-_id"),
    ("Patient", "_lastUpdated"),
    ("Patient", "-_lastUpdated"),
    ("Patient", "family"),
    ("Patient", "-family"),
    ("Patient", "birthdate"),
    ("Patient", "-birthdate"),
    ("Patient", "gender,-birthdate,_id"),
    ("Patient", "-gender,family,-_lastUpdated"),
    ("Task", "status,authored-on"),
    ("Task", "-authored-on,code"),
    ("Task", "-identifier"),
    ("Task", "patient.family"),
    ("Task", "-patient._lastUpdated,status"),
    ("Task", "focus:CarePlan.status,-focus:Patient.birthdate"),
    ("Task", "part-of.authored-on"),
    ("CarePlan", "-subject:Patient._id"),
    ("CarePlan", "subject"),
    ("Patient", "-_profile,_id"),
    ("Observation", "value-quantity,code"),
]


@pytest.mark.parametrize(("kind", "sort"), SORTS)
@pytest.mark.parametrize("size", ["4", "200"])
def test_sorted_pages(world, kind, sort, size):
    """B-45, B-46: several keys, both directions, missing values last, stable across pages."""
    pages = world.pages(kind, [("_sort", sort), ("_count", size)])
    assert [hit.fid for page in pages for hit in page.hits] == expected_order(world, kind, sort)


def test_sorted_with_criteria(world):
    """B-46: the order holds whichever list drives the search."""
    wanted = [
        fid for fid in expected_order(world, "Task", "-authored-on") if fid in set(world.ids("Task", "status=draft"))
    ]
    assert world.ids("Task", "status=draft&_sort=-authored-on") == wanted != []
    assert world.ids("Task", "status=draft&authored-on=ge2020&_sort=-authored-on") == [
        fid for fid in wanted if fid in set(world.ids("Task", "authored-on=ge2020"))
    ]


def test_newest_first_unless_asked(world):
    """The default order is that of creation, newest first; with _lastUpdated, last updated first."""
    created = [one["id"] for one in STORED if one["resourceType"] == "Task"][::-1]
    assert world.ids("Task") == created
    changed = expected_order(world, "Task", "-_lastUpdated")
    assert world.ids("Task", "_lastUpdated=ge2000") == changed != created
    assert parse_date("2000")[0] < min(map(updated, world.resources))
