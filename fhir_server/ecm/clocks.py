"""How long a step of the programme may take: the rows of profiles/ecm/clocks.json, each with source and confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Any

import orjson

from fhir_server.ecm.calendars import after_working_days
from fhir_server.fhir.folders import data_folder

Row = Mapping[str, Any]


def deadline(clock: str, begun: int, zone: tzinfo, **facts: str | Sequence[str]) -> str | None:
    """The dateTime by which a step that began at `begun` (UTC milliseconds) is due; None if it is exempt or has no row.

    `facts` (service, category, to, priority, after) choose the row: the first one whose conditions all hold.
    """
    limit = next((row["limit"] for row in _rows() if row["clock"] == clock and _applies(row, facts)), None)
    return _end(limit, datetime.fromtimestamp(begun // 1000, UTC), zone) if limit else None


@cache
def _rows() -> Sequence[Row]:
    found: Sequence[Row] = orjson.loads((data_folder("profiles") / "ecm" / "clocks.json").read_bytes())["rows"]
    return found


def _applies(row: Row, facts: Mapping[str, str | Sequence[str]]) -> bool:
    return all(_any_of(row[name]) & _any_of(facts.get(name, ())) for name in _CONDITIONS if name in row)


def _any_of(value: str | Sequence[str]) -> set[str]:
    return {value} if isinstance(value, str) else set(value)


def _end(limit: Mapping[str, int], begun: datetime, zone: tzinfo) -> str:
    ((unit, number),) = limit.items()
    if unit == "hours":
        return _text(begun + timedelta(hours=number), zone)
    day = begun.astimezone(zone).date()
    return _text(_midnight_after(_ENDS[unit](day, number), zone) - timedelta(seconds=1), zone)


def _midnight_after(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def _text(instant: datetime, zone: tzinfo) -> str:
    return instant.astimezone(zone).isoformat(timespec="seconds")


_CONDITIONS = ("service", "category", "to", "priority", "after")
_ENDS: Mapping[str, Callable[[date, int], date]] = {
    "working-days": after_working_days,
    "days": lambda day, number: day + timedelta(days=number),
}
