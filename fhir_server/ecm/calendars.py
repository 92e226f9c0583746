"""Working days in California: weekends and state holidays, by the rules in profiles/ecm/calendar-california.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from typing import Any

import orjson

from fhir_server.fhir.folders import data_folder

_DAY = timedelta(days=1)
_WEEK = 7


def after_working_days(day: date, number: int) -> date:
    """The day on which that many working days after `day` are over; `day` itself never counts."""
    while number:
        day += _DAY
        number -= is_working_day(day)
    return day


def is_working_day(day: date) -> bool:
    """Whether work is done on this day."""
    return day.isoweekday() not in _calendar()["weekend"] and day not in holidays(day.year)


@cache
def holidays(year: int) -> frozenset[date]:
    """The days of a year that are holidays, or are kept in place of one of that or the next year."""
    kept = [_kept(rule, number) for number in (year, year + 1) for rule in _calendar()["holidays"]]
    return frozenset(day for day in kept if day.year == year)


@cache
def _calendar() -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads((data_folder("profiles") / "ecm" / "calendar-california.json").read_bytes())
    return found


def _kept(rule: Mapping[str, Any], year: int) -> date:
    if "nth" in rule:
        number = int(rule["nth"])
        return list(_weekdays(rule, year))[number - (number > 0)] + timedelta(days=rule.get("plus", 0))
    day = date(year, rule["month"], rule["day"])
    shift = {6: rule.get("saturday", 0), 7: rule.get("sunday", 0)}.get(day.isoweekday(), 0)
    return day + timedelta(days=shift)


def _weekdays(rule: Mapping[str, Any], year: int) -> Iterator[date]:
    """The days of the rule's month that fall on its weekday."""
    first = date(year, rule["month"], 1)
    day = first + (rule["weekday"] - first.isoweekday()) % _WEEK * _DAY
    while day.month == first.month:
        yield day
        day += _WEEK * _DAY
