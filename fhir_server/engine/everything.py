"""All that a caller may see of one patient's record, page by page, and what it refers to.

The compartment is R4's, with Task by `Task.for` (see `compartment`); every page is audited before it goes out.
https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.definitions import Definitions, type_names, type_number
from fhir_server.store import compartment
from fhir_server.store.compartment import Place, Wanted
from fhir_server.store.resources import Row

_BEYOND = {"Task": ("patient",)}
_CARE_DATES = Path(__file__).with_name("care_dates.json")


@dataclass(frozen=True, slots=True)
class Found:
    """Some of a record: its own rows, what they refer to, and where to go on (None at the end)."""

    rows: Sequence[Row]
    referred: Sequence[Row]
    after: Place | None


def wanted(context: Context, types: Iterable[str], *, since: int = 0, start: int | None, end: int | None) -> Wanted:
    """What to look for: of these types (all if none is named), changed since, of care within [start, end)."""
    chosen = set(types) or set(context.engine.definitions.types)
    members = {type_: codes for type_, codes in _members(context.engine.definitions).items() if type_ in chosen}
    params = context.engine.params
    memberships = sorted(params[type_, code] for type_, codes in members.items() for code in codes)
    dates = sorted(params[type_, code] for type_, codes in care_dates().items() if type_ in chosen for code in codes)
    numbers = tuple(sorted(type_number(type_) for type_ in {*members, "Patient"} & chosen))
    found = Wanted(numbers, tuple(memberships), tuple(dates), start is not None or end is not None, since)
    if start is not None:
        found = found._replace(start=start)
    return found if end is None else found._replace(end=end)


def supporting(context: Context, types: Iterable[str]) -> tuple[int, ...]:
    """The types (by number) outside the compartment that a record may refer to: who, where, by which definition."""
    chosen = set(types) or set(context.engine.definitions.types)
    inside = {*_members(context.engine.definitions), "Patient"}
    return tuple(sorted(type_number(type_) for type_ in chosen - inside))


def page(context: Context, patient: int, what: Wanted, others: Sequence[int], after: Place, limit: int) -> Found:
    """The next rows behind `after`, as the caller is shown them; audited."""
    view, connection = context.visible("r"), context.connection
    placed = compartment.page(connection, view, patient, what, after, limit + 1)
    more, placed = len(placed) > limit, placed[:limit]
    rows = [row for _, row in placed]
    referred = compartment.referred(connection, view, [row.rid for row in rows], others, what.since)
    entities = [[type_names()[row.type], row.fid, row.ver, row.patient, row.labels] for row in (*rows, *referred)]
    context.engine.reads.append(context.event("everything", 200, entities))
    return Found(_shown(context, rows), _shown(context, referred), placed[-1][0] if more else None)


def pages(context: Context, patient: int, what: Wanted, others: Sequence[int], size: int) -> Iterator[Found]:
    """Every page; what was referred to before is not told again."""
    after: Place | None = Place()
    told: set[int] = set()
    while after is not None:
        found = page(context, patient, what, others, after, size)
        fresh = [row for row in found.referred if row.rid not in told]
        told |= {row.rid for row in fresh}
        yield replace(found, referred=fresh)
        after = found.after


def _shown(context: Context, rows: Iterable[Row]) -> list[Row]:
    return [row._replace(body=repository.render(context, type_names()[row.type], row)) for row in rows]


def _members(definitions: Definitions) -> Mapping[str, tuple[str, ...]]:
    """Type -> the reference parameters that put it into a patient's compartment."""
    found: dict[str, tuple[str, ...]] = {}
    for type_, codes in {**definitions.compartment("Patient"), **_BEYOND}.items():
        params = definitions.search_params(type_)
        found[type_] = tuple(code for code in codes if code in params and params[code].type == "reference")
    return found


@cache
def care_dates() -> Mapping[str, Sequence[str]]:
    """Type -> the date parameters that say when the care was; our reading of `start` and `end`."""
    found: Mapping[str, Sequence[str]] = json.loads(_CARE_DATES.read_text("utf-8"))
    return found
