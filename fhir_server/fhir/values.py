"""Dates, references and canonicals as small values, parsed once.  https://hl7.org/fhir/R4/datatypes.html#primitive"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.memory import remembered

PACIFIC = ZoneInfo("America/Los_Angeles")

_MINUTE, _DAY = 60_000, 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})"
    r"(?::([0-9]{2})(?:\.([0-9]+))?)?(Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?)?)?)?"
)
_REFERENCE = re.compile(
    r"(?P<base>[a-z][a-z0-9+.-]*://[^\s?#]+/)?(?P<type>[A-Z][A-Za-z]*)/(?P<id>[A-Za-z0-9.-]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9.-]{1,64}))?"
)


@remembered(65536)
def parse_date(text: str, zone: tzinfo = PACIFIC) -> tuple[int, int]:
    """The half-open UTC interval [from, until) in milliseconds that a date, dateTime or instant names.

    A partial date is its whole day, month or year in `zone`; so is a time without zone. BadValue if it is no date.
    """
    match = _DATE.fullmatch(text)
    if not match:
        raise BadValue(f"{text[:64]!r} is not a FHIR date; write e.g. 2026, 2026-03-01 or 2026-03-01T10:00:00Z")
    try:
        return _interval(match, zone)
    except (ValueError, OverflowError):
        raise BadValue(f"{text[:64]!r} does not exist in the calendar") from None


def _interval(match: re.Match[str], zone: tzinfo) -> tuple[int, int]:
    year, month, day, hour = match[1], match[2], match[3], match[4]
    if hour is not None:
        return _moment(match, zone)
    first = date(int(year), int(month or 1), int(day or 1))
    if day:
        after = _plus_day(first)
    elif month:
        after = _first_of_next_month(first)
    else:
        after = _next(first.year + 1, 1)
    lo = _midnight(first, zone)
    return lo, _midnight(after, zone) if after else lo + _DAY * (366 - first.timetuple().tm_yday)


def _moment(match: re.Match[str], zone: tzinfo) -> tuple[int, int]:
    seconds, fraction, offset = match[6], match[7], match[8]
    leap = seconds == "60"
    clock = time(int(match[4]), int(match[5]), 59 if leap else int(seconds or 0), tzinfo=UTC if offset else zone)
    day = date(int(match[1]), int(match[2]), int(match[3]))
    lo = _ms(datetime.combine(day, clock)) - _offset(offset or "Z") + 1000 * leap
    if fraction:
        return lo + int(fraction[:3].ljust(3, "0")), lo + int(fraction[:3].ljust(3, "0")) + 1
    return lo, lo + (1000 if seconds else _MINUTE)


def _offset(text: str) -> int:
    if text == "Z":
        return 0
    return (int(text[1:3]) * 60 + int(text[4:6])) * (_MINUTE if text[0] == "+" else -_MINUTE)


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _midnight(day: date, zone: tzinfo) -> int:
    return _ms(datetime(day.year, day.month, day.day, tzinfo=zone))


def _plus_day(day: date) -> date | None:
    return None if day == date.max else day + timedelta(days=1)


def _first_of_next_month(day: date) -> date | None:
    return _next(day.year + day.month // 12, day.month % 12 + 1)


def _next(year: int, month: int) -> date | None:
    return None if year > date.max.year else date(year, month, 1)


@lru_cache(maxsize=1024)  # whatever one transaction writes bears one instant
def instant(ms: int) -> str:
    """The FHIR instant of a UTC millisecond, e.g. 2026-11-22T10:00:00.123Z."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19]}.{ms % 1000:03d}Z"


def local_time(ms: int, zone: tzinfo) -> datetime:
    """A UTC millisecond in a zone; what lies beyond the calendar is taken for its first or last day but one."""
    return datetime.fromtimestamp(min(max(ms, _FIRST), _LAST) / 1000, UTC).astimezone(zone)


_FIRST, _LAST = (_ms(datetime(*day, tzinfo=UTC)) for day in ((1, 1, 2), (9999, 12, 30)))


@dataclass(frozen=True, slots=True)
class Reference:
    """A literal reference taken apart; `base` is "" for a relative one."""

    type: str
    id: str
    version: str = ""
    base: str = ""

    def __str__(self) -> str:
        """Its identity without the version: "Patient/1", or the absolute URL."""
        return f"{self.base}{self.type}/{self.id}"


def parse_reference(text: str) -> Reference | None:
    """The parts of "Type/id", "Type/id/_history/v" or a RESTful URL; None for urn:, #contained and anything else."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        return None
    return Reference(match["type"], match["id"], match["version"] or "", match["base"] or "")


def split_canonical(text: str) -> tuple[str, str]:
    """(url, version) of "url|version"; the version is "" where there is none."""
    url, _, version = text.partition("|")
    return url, version
