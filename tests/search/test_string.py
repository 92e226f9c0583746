"""Strings: beginnings, parts and wholes (B-35)."""

from contextlib import closing

import pytest

from fhir_server.store.db import open_database
from tests.search.stored import World

LONG = "x" * 300


@pytest.fixture(scope="module")
def world(module_database_url):
    families = [
        "Muñoz",
        "O'Brien-Smith",
        "Smith",
        "smith",
        "Smiti",
        "Smithers",
        "100% sure",
        "a_b",
        "aXb",
        "a/b",
        LONG + "1",
        "Carreno Quinones",
    ]
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store(
            {"resourceType": "Patient", "id": str(number), "name": [{"family": family, "given": ["Ana", "María"]}]}
            for number, family in enumerate(families)
        )
        yield made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("family=munoz", [0]),
        ("family=MUÑ", [0]),
        ("family=o'brien", [1]),
        ("family=O\u2019Brien", [1]),
        ("family=smith", [1, 2, 3, 5]),  # not the next text after all that begin so
        ("family=obrien smith", [1]),
        ("family=o'brien-s", [1]),
        ("family=quinones", [11]),
        ("name=Quiñones", [11]),
        ("family=carreno quin", [11]),
        ("family=arreno", []),
        ("family:exact=Quinones", []),
        ("family=100 sure", [6]),
        ("family=smiti", [4]),
        ("family:exact=Smith", [2]),
        ("family:exact=smith", [3]),
        ("family:exact=Smit", []),
        ("family:contains=smith", [1, 2, 3, 5]),
        ("family:contains=%", [6]),  # signs that SQL would read as wild cards are letters
        ("family:contains=_", [7]),
        ("family:contains=/", [9]),
        ("family=100%25", []),
        ("family:contains=100%", [6]),
        ("family=munoz,smiti", [0, 4]),
        ("name=maria", list(range(12))),
        ("name=ana maria munoz", [0]),
        ("name=maria munoz", []),
        (f"family:exact={LONG}1", [10]),
        (f"family:exact={LONG}2", []),
        (f"family:contains={LONG[:200]}", [10]),
        ("family:contains=x1", [10]),
        (f"family={LONG}1", [10]),
    ],
)
def test_strings(world, text, expected):
    """B-35: case and accents set aside, any part, any repetition; :exact and :contains."""
    assert sorted(map(int, world.ids("Patient", text))) == expected
