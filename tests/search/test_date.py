"""Date search compares intervals: one truth table for every prefix (B-36, B-37, B-38)."""

from contextlib import closing

import pytest

from fhir_server.fhir.values import instant
from fhir_server.store.db import open_database
from tests.search.stored import World

# The search value is always 2026-03-05, the whole day in Pacific time. T = stored; columns = prefixes that must match.
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
TABLE = {
    "the same day": ({"authoredOn": "2026-03-05"}, {"eq", "ge", "le", "ap"}),
    "a moment of it": ({"authoredOn": "2026-03-05T23:59:59-08:00"}, {"eq", "ge", "le", "ap"}),
    "a moment without zone": ({"authoredOn": "2026-03-05T00:00:00.000"}, {"eq", "ge", "le", "ap"}),
    "its last millisecond in UTC": ({"authoredOn": "2026-03-06T07:59:59.999Z"}, {"eq", "ge", "le", "ap"}),
    "the first after it in UTC": ({"authoredOn": "2026-03-06T08:00:00.000Z"}, {"ne", "gt", "ge", "sa", "ap"}),
    "the day before": ({"authoredOn": "2026-03-04"}, {"ne", "lt", "le", "eb", "ap"}),
    "the day after": ({"authoredOn": "2026-03-06"}, {"ne", "gt", "ge", "sa", "ap"}),
    "long before": ({"authoredOn": "2025"}, {"ne", "lt", "le", "eb"}),
    "long after": ({"authoredOn": "2027-01"}, {"ne", "gt", "ge", "sa"}),
    "the whole month": ({"authoredOn": "2026-03"}, {"ne", "gt", "lt", "ge", "le", "ap"}),
    "the whole year": ({"authoredOn": "2026"}, {"ne", "gt", "lt", "ge", "le", "ap"}),
    "a period within": (
        {"executionPeriod": {"start": "2026-03-05T08:00:00-08:00", "end": "2026-03-05T09:00:00-08:00"}},
        {"eq", "ge", "le", "ap"},
    ),
    "a period of that day": (
        {"executionPeriod": {"start": "2026-03-05", "end": "2026-03-05"}},
        {"eq", "ge", "le", "ap"},
    ),
    "a period into it": (
        {"executionPeriod": {"start": "2026-03-01", "end": "2026-03-05"}},
        {"ne", "lt", "le", "ap"},
    ),
    "a period out of it": (
        {"executionPeriod": {"start": "2026-03-05", "end": "2026-03-09"}},
        {"ne", "gt", "ge", "ap"},
    ),
    "a period until it": (
        {"executionPeriod": {"start": "2026-02-01", "end": "2026-03-03"}},
        {"ne", "lt", "le", "eb"},
    ),
    "open end from before": ({"executionPeriod": {"start": "2026-01-01"}}, {"ne", "gt", "lt", "ge", "le", "ap"}),
    "open end from after": ({"executionPeriod": {"start": "2026-03-09"}}, {"ne", "gt", "ge", "sa"}),
    "open start until before": ({"executionPeriod": {"end": "2026-03-01"}}, {"ne", "lt", "le", "eb"}),
    "open start until after": ({"executionPeriod": {"end": "2026-04-01"}}, {"ne", "gt", "lt", "ge", "le", "ap"}),
}


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store(
            {"resourceType": "Task", "id": f"t{number}", "status": "draft", "intent": "order", **dated}
            for number, (dated, _) in enumerate(TABLE.values())
        )
        yield made


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("param", ["authored-on", "period"])
def test_prefixes(world, prefix, param):
    """B-37, row by row; B-36: partial dates, periods, open ends, the zone of this deployment."""
    element = {"authored-on": "authoredOn", "period": "executionPeriod"}[param]
    expected = {name: prefix in wanted for name, (dated, wanted) in TABLE.items() if element in dated}
    found = world.ids("Task", f"{param}={prefix}2026-03-05")
    names = list(TABLE)
    assert {name: f"t{names.index(name)}" in found for name in expected} == expected


def test_no_prefix_is_eq(world):
    """B-37."""
    assert world.ids("Task", "authored-on=2026-03-05") == world.ids("Task", "authored-on=eq2026-03-05") != []


def test_two_bounds_intersect(world):
    """B-38: from one day until another is both."""
    both = world.ids("Task", "authored-on=ge2026-03-04&authored-on=lt2026-03-06")
    assert {"t0", "t1", "t5"} <= set(both)
    assert not {"t6", "t7", "t8"} & set(both)


@pytest.mark.parametrize("sign", ["+", " "])
def test_plus_of_a_zone_may_arrive_as_space(world, sign):
    """B-38: 08:00 Pacific is 16:00 UTC is 18:00 in a zone two hours east."""
    assert world.ids("Task", f"authored-on=2026-03-06T10:00:00.000{sign}02:00") == ["t4"]


def test_last_updated_in_milliseconds(world):
    """B-48: instants with prefixes."""
    hit = world.page("Task", [("_count", "1")]).hits[0]
    assert hit.fid in world.ids("Task", f"_lastUpdated={instant(hit.ts)}")
    assert hit.fid in world.ids("Task", f"_lastUpdated=ge{instant(hit.ts)}")
    assert hit.fid in world.ids("Task", f"_lastUpdated=gt{instant(hit.ts - 1)}")
    assert hit.fid not in world.ids("Task", f"_lastUpdated=gt{instant(hit.ts)}")
    assert hit.fid not in world.ids("Task", f"_lastUpdated=sa{instant(hit.ts)}")
    assert hit.fid in world.ids("Task", f"_lastUpdated=le{instant(hit.ts)}")
    assert hit.fid not in world.ids("Task", f"_lastUpdated=lt{instant(hit.ts)}")
    assert hit.fid not in world.ids("Task", f"_lastUpdated=ne{instant(hit.ts)}")
