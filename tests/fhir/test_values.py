"""Dates as intervals, references taken apart.  https://hl7.org/fhir/R4/search.html#date"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.values import Reference, instant, parse_date, parse_reference, split_canonical

DAY = 86_400_000


def ms(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("2026", ms(2026, 1, 1, 8), ms(2027, 1, 1, 8)),
        ("2026-07", ms(2026, 7, 1, 7), ms(2026, 8, 1, 7)),
        ("2026-12", ms(2026, 12, 1, 8), ms(2027, 1, 1, 8)),
        ("2024-02-29", ms(2024, 2, 29, 8), ms(2024, 3, 1, 8)),
        ("2026-03-08", ms(2026, 3, 8, 8), ms(2026, 3, 9, 7)),
        ("2026-03-01T10:00", ms(2026, 3, 1, 18), ms(2026, 3, 1, 18, 1)),
        ("2026-03-01T10:00:00-08:00", ms(2026, 3, 1, 18), ms(2026, 3, 1, 18, 0, 1)),
        ("2026-03-01T10:00:00.1234Z", ms(2026, 3, 1, 10) + 123, ms(2026, 3, 1, 10) + 124),
        ("2016-12-31T23:59:60Z", ms(2017, 1, 1), ms(2017, 1, 1, 0, 0, 1)),
    ],
)
def test_a_date_is_the_interval_it_names(text, lo, hi):
    """B-21: partial dates are whole days, months and years; without zone they are Pacific, 23 hours on one day."""
    assert parse_date(text) == (lo, hi)


def test_the_last_year_has_an_end():
    assert parse_date("9999", UTC)[1] == parse_date("9999-12", UTC)[1] == parse_date("9999-12-31", UTC)[1]
    lo, hi = parse_date("9999-12-31", UTC)
    assert hi - lo == DAY


@pytest.mark.parametrize(
    "text", ["", "x", "0000", "10000", "2024-02-30", "2026-13", "2026-1-1", "2026-01-01T24:00:00Z"]
)
def test_what_is_no_date_is_refused(text):
    """Catalogue row 48."""
    with pytest.raises(BadValue):
        parse_date(text)


@given(st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_a_partial_date_contains_its_instants(moment):
    at = ms(*moment.timetuple()[:6])
    local = datetime.fromtimestamp(at / 1000, ZoneInfo("America/Los_Angeles"))
    for text in (f"{local:%Y}", f"{local:%Y-%m}", f"{local:%Y-%m-%d}"):
        lo, hi = parse_date(text)
        assert lo <= at < hi


@given(st.integers(0, 4_000_000_000_000))
def test_an_instant_is_read_back(at):
    assert parse_date(instant(at)) == (at, at + 1)
    assert timedelta(milliseconds=at) + datetime(1970, 1, 1, tzinfo=UTC) == datetime.fromisoformat(instant(at))


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("Patient/1", Reference("Patient", "1")),
        ("Patient/1/_history/2", Reference("Patient", "1", "2")),
        ("https://a.example/fhir/Patient/1", Reference("Patient", "1", "", "https://a.example/fhir/")),
        ("#in", None),
        ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", None),
        ("Patient/../1", None),
        ("Patient?x=1", None),
    ],
)
def test_references_are_taken_apart(text, reference):
    assert parse_reference(text) == reference
    if reference and not reference.version:
        assert str(reference) == text


def test_canonicals_are_split():
    assert split_canonical("http://a.example/x|1.0") == ("http://a.example/x", "1.0")
    assert split_canonical("http://a.example/x") == ("http://a.example/x", "")
