"""References up and down a hierarchy (B-34)."""

import random
from contextlib import closing

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse as parse_scopes
from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.store.db import open_database
from fhir_server.store.hashing import rh
from tests.search.stored import World


def plain(kind, fid, **more):
    return {"resourceType": kind, "id": fid, **more}


@pytest.fixture(scope="module")
def places(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        for number in range(7):
            inside = {"partOf": {"reference": f"Location/{number - 1}"}} if number else {}
            made.store([plain("Location", str(number), **inside)])
            stay = [{"location": {"reference": f"Location/{number}"}}]
            made.store([plain("Encounter", f"e{number}", status="planned", location=stay)])
        made.store([plain("Location", "hidden", partOf={"reference": "Location/0"})], owner=99)
        made.store([plain("Location", "in", partOf={"reference": "Location/hidden"})])
        made.store([plain("Encounter", "eh", location=[{"location": {"reference": "Location/in"}}])])
        yield made


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("Encounter", "location:below=2", {"e2", "e3", "e4", "e5", "e6"}),
        ("Encounter", "location:below=Location/5,Location/6", {"e5", "e6"}),
        (
            "Encounter",
            "location:below=0",
            {"e0", "e1", "e2", "e3", "e4"},
        ),  # four levels, and nothing through the hidden
        ("Encounter", "location:above=2", {"e0", "e1", "e2"}),
        ("Encounter", "location:above=6", {"e2", "e3", "e4", "e5", "e6"}),
        ("Location", "partof:below=4", {"5", "6"}),
        ("Location", "partof:below=nowhere", set()),
    ],
)
def test_hierarchies(places, kind, text, expected):
    """Places in places: the resource itself, and up to four levels."""
    assert set(places.ids(kind, text, 99)) == expected


def test_what_is_no_hierarchy(places):
    for kind, text in (
        ("Task", "patient:below=1"),
        ("Task", "focus:above=CarePlan"),
        ("Patient", "link:below=Patient/1"),
    ):
        with pytest.raises((NotSupported, BadValue)):
            places.ids(kind, text)


# ---- a forest, with trees that stand in one another's way, against a plain walk over it

FOREST, HIDDEN = 40, 99
ORGANIZATION = "Organization/keeper"


@pytest.fixture(scope="module")
def forest(fresh_url, database_kind):
    rng = random.Random(5)
    with closing(open_database(fresh_url(database_kind))) as database:
        made = World(database)
        made.parents, made.hidden = {}, set()
        for number in range(FOREST):
            fid = f"l{number}"
            if number:
                made.parents[fid] = f"l{(number - 1) // 2 if number % 3 else rng.randrange(FOREST)}"  # circles too
            inside = {"partOf": {"reference": f"Location/{made.parents[fid]}"}} if number else {}
            if number % 7 == 5:
                made.hidden.add(fid)
            made.store([plain("Location", fid, **inside)], owner=HIDDEN if fid in made.hidden else rh(ORGANIZATION))
            stay = [{"location": {"reference": f"Location/{fid}"}}]
            made.store([plain("Encounter", f"e{number}", status="planned", location=stay)], owner=rh(ORGANIZATION))
        yield made


def kin(forest, way, root, hidden=frozenset()):
    """The places above or below one, at most four steps away, on a way of which every step is seen."""
    found, fringe = {root}, {root} if way == "below" or root not in hidden else set()
    for _ in range(4):
        if way == "below":
            fringe = {child for child, parent in forest.parents.items() if parent in fringe}
        else:
            fringe = {forest.parents[one] for one in fringe if one in forest.parents}
        fringe -= hidden
        found |= fringe
    return found


@pytest.mark.parametrize("way", ["above", "below"])
def test_a_forest(forest, way):
    """B-34, B-42: as a list to start from, and as a condition on rows found otherwise; of one root and of several."""
    everything = ",".join(f"e{number}" for number in range(FOREST))
    for number in range(0, FOREST, 3):
        roots = [f"l{number}", f"l{FOREST - 1 - number}"][: 1 + number % 2]
        expected = {f"e{one[1:]}" for root in roots for one in kin(forest, way, root, forest.hidden)}
        asked = f"location:{way}={','.join(roots)}"
        assert set(forest.ids("Encounter", asked, HIDDEN)) == expected, asked
        assert set(forest.ids("Encounter", f"{asked}&_id={everything}", HIDDEN)) == expected, asked


@pytest.mark.parametrize("way", ["above", "below"])
def test_hierarchies_stand_in_chains(forest, way):
    """B-42: what comes after a dot, or in _has, may ask for a hierarchy, under the rules of access as they are."""
    caller = Caller("c", ORGANIZATION, rh(ORGANIZATION), "covered", parse_scopes("system/*.rs"), "TREAT")
    within = kin(forest, way, "l9")  # places are seen by all: they belong to the directory
    stays = {f"e{one[1:]}" for one in within}
    operator = {"below": "ss", "above": "sb"}[way]
    for text, expected in (
        (f"location.partof:{way}=l9", {f"e{one[1:]}" for one, parent in forest.parents.items() if parent in within}),
        (f"location:Location._has:Encounter:location:location:{way}=l9", stays),
        (f"_filter=location {operator} l9", stays),
        (f"location:{way}=l9&location.partof.partof.partof:{way}=l9", None),
    ):
        query = forest.searcher.parse(
            "Encounter", [*[tuple(one.split("=")) for one in text.split("&")], ("_count", "200")]
        )
        page = forest.searcher.search(forest.database.read(), query, Visible(caller, 1))
        assert expected is None or {hit.fid for hit in page.hits} == expected, text
