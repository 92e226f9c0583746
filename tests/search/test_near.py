"""Places within a distance (Location.position)."""

import math
import random
from contextlib import closing

import pytest

from fhir_server.store.db import open_database
from tests.search.stored import World

KM = 1000.0


def metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The great circle by the haversine of the difference."""
    (north, east), (to_north, to_east) = (tuple(map(math.radians, point)) for point in (one, other))
    half = math.sin((to_north - north) / 2) ** 2
    half += math.cos(north) * math.cos(to_north) * math.sin((to_east - east) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(half)))


def points() -> list[tuple[float, float]]:
    rng = random.Random(5)
    around = [(34.05 + rng.uniform(-1, 1), -118.24 + rng.uniform(-1, 1)) for _ in range(60)]
    far = [(rng.uniform(-90, 90), rng.uniform(-180, 180)) for _ in range(40)]
    return [*around, *far, (90.0, 0.0), (-90.0, 10.0), (10.0, 180.0), (10.0, -179.999), (34.05, -118.24)]


POINTS = points()


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        stored = [
            {"resourceType": "Location", "id": f"l{number}", "position": {"latitude": north, "longitude": east}}
            for number, (north, east) in enumerate(POINTS)
        ]
        made.store([*stored, {"resourceType": "Location", "id": "nowhere"}])
        yield made


@pytest.mark.parametrize(
    ("asked", "at", "distance"),
    [
        ("34.05|-118.24|10|km", (34.05, -118.24), 10 * KM),
        ("34.05|-118.24|10", (34.05, -118.24), 10 * KM),
        ("34.05|-118.24", (34.05, -118.24), 50 * KM),
        ("34.05|-118.24|30|[mi_i]", (34.05, -118.24), 30 * 1609.344),
        ("34.05|-118.24|0|m", (34.05, -118.24), 0),
        ("10.0|180.0|5|km", (10.0, 180.0), 5 * KM),  # across the date line
        ("89.9|77|100|km", (89.9, 77.0), 100 * KM),  # around the pole
        ("-33.2|20.5|9000|km", (-33.2, 20.5), 9000 * KM),
        ("0|0|30000|km", (0.0, 0.0), 30_000 * KM),  # the whole earth
    ],
)
def test_near_is_the_great_circle(world, asked, at, distance):
    """B-48, type special: exactly those that a plain computation of the great circle finds."""
    expected = {f"l{number}" for number, point in enumerate(POINTS) if metres(at, point) <= distance}
    assert set(world.ids("Location", f"near={asked}")) == expected != set()


def test_near_goes_with_others(world):
    """One criterion among several; missing where there is no position."""
    assert world.ids("Location", "near=34.05|-118.24|1|m&_id=l104,l0") == ["l104"]
    assert world.ids("Location", "near:missing=true") == ["nowhere"]
    assert len(world.ids("Location", "near=34.05|-118.24|1|m,90|0|1|m")) == 2
