"""Files going out: what is asked for, in which format, and the answer that carries the file."""

from __future__ import annotations

import tempfile
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import IO, Any

import orjson

from fhir_server.ecm import member
from fhir_server.ecm.files import rendering
from fhir_server.ecm.files.format import Format
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.ecm.member import Unreadable
from fhir_server.ecm.rosters import groups
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, BusinessRule, NotAcceptable
from fhir_server.fhir.values import instant, parse_date
from fhir_server.rest.arguments import Arguments
from fhir_server.rest.message import Request, Response
from fhir_server.store.resources import Row

_PIECE = 64 * 1024
_MONTHS_OF_A_QUARTER = 3


@dataclass(frozen=True)
class Period:
    """A reporting period as it is written (2025-07, 2025-Q3), its first and last day, and its instants."""

    text: str
    first: str
    last: str
    begins: int
    ends: int

    def holds(self, day: str | None) -> bool:
        """Whether a day lies in the period."""
        return day is not None and self.first <= day <= self.last


def chosen_format(request: Request, given: Arguments) -> Format:
    """The format by parameter, else the first one that Accept names, else CSV; BadValue or NotAcceptable."""
    if "format" in given:
        if given.one("format") not in FORMATS:
            raise BadValue(f"format is one of {', '.join(sorted(FORMATS))}.", "format")
        return FORMATS[given.one("format")]
    offers = [part.partition(";")[0].strip().lower() for part in request.header("accept").split(",")]
    for offer in offers:
        for form in FORMATS.values():
            if offer in form.media_types:
                return form
    if not any(offer in {"", "*/*", "text/*", "application/fhir+json", "application/json"} for offer in offers):
        raise NotAcceptable(f"Offered are: {', '.join(form.media_types[0] for form in FORMATS.values())}.")
    return FORMATS["csv"]


def state_of_knowledge(context: Context, given: Arguments) -> int:
    """The last millisecond of `as-of`, now without it; BadValue for the future."""
    if "as-of" not in given:
        return context.now
    first, after = parse_date(given.one("as-of"), context.engine.settings.zone)
    if first > context.now:
        raise BadValue("as-of lies in the future.", "as-of")
    return min(after - 1, context.now)


def reporting_period(context: Context, text: str) -> Period:
    """A month (2025-07) or quarter (2025-Q3); BadValue for anything else."""
    try:
        written = member.period(text)
    except Unreadable as error:
        raise BadValue(error.advice, "period") from None
    year, part = written.split("-")
    last_month = int(part[1:]) * _MONTHS_OF_A_QUARTER if part.startswith("Q") else int(part)
    first_month = last_month - _MONTHS_OF_A_QUARTER + 1 if part.startswith("Q") else last_month
    first = date(int(year), first_month, 1).isoformat()
    last = date(int(year), last_month, monthrange(int(year), last_month)[1]).isoformat()
    zone = context.engine.settings.zone
    return Period(written, first, last, parse_date(first, zone)[0], parse_date(last, zone)[1])


def roster(context: Context, request: Request, interaction: str) -> Row:
    """The roster in the URL as stored; NotFound if it is absent or hidden, BusinessRule for a Group that is none."""
    context.require("r", "Patient")
    row = records.find(context, "Group", request.id, interaction)
    if not groups.is_roster(orjson.loads(row.body)):
        raise BusinessRule("This Group is no roster: it was not made by an assignment file.")
    return row


@dataclass(frozen=True)
class Told:
    """A file that is ready to be sent: its bytes on disk, its length, and how many values were withheld."""

    content: IO[bytes]
    size: int
    withheld: int


def produce(layout: Layout, form: Format, facts: Iterable[tuple[Any | None, int]]) -> Told:
    """Write a file of facts to a temporary one; each fact comes with the number of values withheld from it."""
    count = 0

    def counted() -> Iterator[Any]:
        nonlocal count
        for fact, withheld in facts:
            count += withheld
            if fact is not None:
                yield fact

    content: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been sent
    for piece in rendering.render(form, rendering.rows(layout, counted())):
        content.write(piece)
    size = content.tell()
    content.seek(0)
    return Told(content, size, count)


def attached(name: str, form: Format, pieces: bytes | Iterable[bytes], headers: Mapping[str, str]) -> Response:
    """The answer that carries a file."""
    kind = form.media_types[0]
    media_type = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    disposition = f'attachment; filename="{name}.{form.suffix}"'
    return Response(200, pieces, {"Content-Type": media_type, "Content-Disposition": disposition, **headers})


def sent(told: Told) -> Iterator[bytes]:
    """The pieces of a produced file, which is gone afterwards."""
    with told.content as content:
        while piece := content.read(_PIECE):
            yield piece


def as_of_header(as_of: int) -> dict[str, str]:
    """X-As-Of: the instant to give as `as-of` to get the same bytes again."""
    return {"X-As-Of": instant(as_of)}
