"""References up and down a hierarchy (B-34)."""

from contextlib import closing

import pytest

from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.store.db import open_database
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
