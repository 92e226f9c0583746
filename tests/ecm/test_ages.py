"""Populations of Focus by age: data, and the day that a file speaks of."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fhir_server.ecm import ages
from fhir_server.ecm.persons import birthday

DAYS = some.dates(date(1930, 1, 1), date(2030, 12, 31))


@pytest.mark.parametrize(
    ("population", "born", "day", "there"),
    [
        ("ccs-additional-needs", "2005-10-20", "2026-10-19", True),
        ("ccs-additional-needs", "2005-10-20", "2026-10-20", False),
        ("ltc-risk", "2005-10-20", "2026-10-19", False),
        ("ltc-risk", "2005-10-20", "2026-10-20", True),
        ("child-welfare", "2000-10-20", "2026-10-19", True),
        ("child-welfare", "2000-10-20", "2026-10-20", False),
        ("birth-equity", "2000-10-20", "2026-10-20", True),
        ("ltc-risk", "2005", "2026-10-20", True),
        ("ccs-additional-needs", "2004-02-29", "2025-02-28", True),
        ("ccs-additional-needs", "2004-02-29", "2025-03-01", False),
    ],
)
def test_who_is_in_a_population_by_age(population: str, born: str, day: str, there: bool) -> None:
    """R3 1, section 2.1 of the data: the day of the birthday is the first of the new age."""
    assert ages.exists(population, born, day) == there
    assert ages.fitting((population,), born, day) == ((population,) if there else ())


@given(DAYS, DAYS)
def test_age_only_grows(born: date, day: date) -> None:
    """Nobody is an adult before the birthday, and everybody on it."""
    of_age = birthday(born.isoformat(), 21)
    assert ages.is_adult(born.isoformat(), day.isoformat()) == (day >= date.fromisoformat(of_age))
