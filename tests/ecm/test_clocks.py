"""Working days and limits: the calendar against days counted by hand, the table, and laws that always hold."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.ecm import clocks
from fhir_server.ecm.calendars import after_working_days, holidays, is_working_day

ZONE = ZoneInfo("America/Los_Angeles")
DAYS = st.dates(date(2020, 1, 1), date(2060, 12, 31))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_the_holidays_of_two_years():
    """Counted by hand; 2027 has New Year, Cesar Chavez and Christmas on workdays and July 4 on a Sunday."""
    assert sorted(holidays(2026)) == [
        date(2026, *day)
        for day in ((1, 1), (1, 19), (2, 16), (3, 31), (5, 25), (7, 4), (9, 7), (11, 11), (11, 26), (11, 27), (12, 25))
    ]
    assert date(2027, 7, 5) in holidays(2027)
    assert date(2027, 7, 4) not in holidays(2027)
    assert date(2028, 11, 10) in holidays(2028)  # Veterans Day on a Saturday is kept on Friday
    assert date(2023, 1, 2) in holidays(2023)


@settings(deadline=None)
@given(DAYS, st.integers(1, 30))
def test_working_days_are_counted_one_by_one(day: date, number: int):
    """The result is a working day, and exactly so many working days lie after the start up to it."""
    end = after_working_days(day, number)
    between = [day + timedelta(days=step) for step in range(1, (end - day).days + 1)]
    assert is_working_day(end)
    assert sum(map(is_working_day, between)) == number


@pytest.mark.parametrize(
    ("begun", "facts", "due"),
    [
        ("2026-11-23T10:00:00-08:00", {}, "2026-12-02T23:59:59-08:00"),  # over Thanksgiving and the day after
        ("2026-11-21T10:00:00-08:00", {}, "2026-12-01T23:59:59-08:00"),  # from a Saturday
        ("2026-12-24T23:59:00-08:00", {"priority": "routine"}, "2027-01-04T23:59:59-08:00"),
        ("2026-11-27T10:00:00-08:00", {"priority": "urgent"}, "2026-11-30T10:00:00-08:00"),  # hours run at weekends
        ("2026-11-27T10:00:00-08:00", {"priority": "stat"}, "2026-11-28T10:00:00-08:00"),
        ("2026-10-31T10:00:00-07:00", {"priority": "urgent"}, "2026-11-03T09:00:00-08:00"),  # the clocks go back
        (
            "2026-11-27T10:00:00-08:00",
            {"category": ["community-support"], "to": "plan", "priority": "stat"},
            "2026-11-27T22:00:00-08:00",
        ),
        ("2026-11-27T10:00:00-08:00", {"service": ["sobering-centers"], "priority": "stat"}, None),
    ],
)
def test_when_an_answer_is_due(begun: str, facts: dict, due: str | None):
    """R: answer-by by service and urgency; sobering centers are exempt."""
    assert clocks.deadline("answer", at(begun), ZONE, **facts) == due


def test_a_clock_without_rows_ends_never():
    assert clocks.deadline("no such clock", at("2026-11-27T10:00:00-08:00"), ZONE) is None


@settings(deadline=None)
@given(st.datetimes(datetime(2020, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_is_urgent_is_never_due_later(begun: datetime):
    """A more urgent referral is due at the same time or before a less urgent one."""
    ms = int(begun.timestamp() * 1000)
    dues = [clocks.deadline("answer", ms, ZONE, priority=one) for one in ("stat", "urgent", "routine")]
    instants = [at(due) for due in dues if due]
    assert instants == sorted(instants)
    assert instants[0] > ms


def test_every_row_says_where_it_comes_from():
    for row in clocks._rows():
        assert row["source"]
        assert row["confidence"] in {"seed", "found", "unverified", "defined"}
