"""What goes along with a page: resources its matches refer to, and resources that refer to its matches.

One statement per direction and level, never one per row.  https://hl7.org/fhir/R4/search.html#revinclude
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, and_, bindparam, or_, select

from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import TooCostly
from fhir_server.search.compile import HIT
from fhir_server.search.frame import ZERO, Frame, follow, number
from fhir_server.search.model import INSIDE, Include
from fhir_server.store.tables import ref

MOST_INCLUDED = 1000

_SMALLEST = 8  # lists of binds have few lengths, so that few statements are compiled


class Hit(NamedTuple):
    """One resource found, with its body as stored."""

    rid: int
    part: int
    type_number: int
    fid: str
    view: int
    rh: int
    ver: int
    ts: int
    owner: int
    patient: int | None
    labels: int
    body: bytes


Rows = Callable[[Hashable, Callable[[Frame], Select[Any]], Mapping[str, Any]], list[tuple[Any, ...]]]


def included(rows: Rows, page: Sequence[Hit], includes: Sequence[Include]) -> list[Hit]:
    """The visible resources that go along with a page, each once and none of the page; TooCostly beyond the limit.

    `rows(key, build, values)` runs the statement that `build` makes, kept under `key`.
    """
    seen = {hit.rid for hit in page}
    found: list[Hit] = []
    wanted, frontier = tuple(includes), list(page)
    while wanted and frontier:
        fresh = []
        for hit in _level(rows, frontier, wanted):
            if hit.rid not in seen:
                seen.add(hit.rid)
                fresh.append(hit)
        found += fresh
        if len(found) > MOST_INCLUDED:
            raise TooCostly(f"more than {MOST_INCLUDED} resources would be included; ask for smaller pages or less")
        wanted, frontier = tuple(one for one in includes if one.iterate), fresh
    return found


def _level(rows: Rows, frontier: list[Hit], includes: tuple[Include, ...]) -> list[Hit]:
    found: list[Hit] = []
    forward = tuple(one for one in includes if not one.reverse)
    backward = tuple(one for one in includes if one.reverse)
    sources = {type_number(one.source) for one in forward}
    for mark in ("", INSIDE):
        starts = [hit.rid for hit in frontier if hit.type_number in sources and bool(hit.rh) is not bool(mark)]
        if starts:
            found += _ask(rows, tuple(replace(one, source=mark + one.source) for one in forward), starts)
    referred = [hit.rh for hit in frontier if hit.rh]  # nothing refers to a contained resource from outside
    if backward and referred:
        found += _ask(rows, backward, referred)
    return found


def _ask(rows: Rows, includes: tuple[Include, ...], starts: list[int]) -> list[Hit]:
    starts = list(dict.fromkeys(starts))
    size = max(_SMALLEST, 1 << (len(starts) - 1).bit_length())
    padded = starts + [starts[-1]] * (size - len(starts))
    bound = {f"i{position}": start for position, start in enumerate(padded)}
    found = rows(("include", includes, size), lambda frame: statement(frame, includes, size), bound)
    return [Hit(*row) for row in found]


def statement(frame: Frame, includes: Sequence[Include], size: int) -> Select[Any]:
    """What one level of includes of one direction adds, from rids (or backwards from hashes) bound as i0, i1, ..."""
    reverse = includes[0].reverse
    starts = [bindparam(f"i{position}", type_=BigInteger()) for position in range(size)]
    link = ref.alias()
    # Forwards the rows are few and found by rid; without "+ 0" SQLite may read the whole list of the parameter instead.
    param = link.c.param if reverse else link.c.param + ZERO
    which = param.in_([number(frame.number_of((one.source, one.code))) for one in includes])
    if reverse:
        driver = select(link.c.rid, link.c.part).where(which, link.c.tgt.in_(starts)).distinct().subquery()
        on = [("rid", "rid"), ("part", "part")]
    else:
        driver = select(link.c.tgt, link.c.param).where(which, link.c.rid.in_(starts)).distinct().subquery()
        on = [("tgt", "rh")]
    r, current = frame.resource()
    if not reverse and any(one.target for one in includes):
        current.append(or_(*[_fits(frame, one, driver, r) for one in includes]))
    found, _ = follow(frame, driver, on, r, current, HIT)
    return found.limit(number(2 * MOST_INCLUDED))


def _fits(frame: Frame, include: Include, driver: Any, r: Any) -> ColumnElement[bool]:
    by_it = frame.param(driver, (include.source, include.code))
    return and_(by_it, r.c.type == number(type_number(include.target))) if include.target else by_it
