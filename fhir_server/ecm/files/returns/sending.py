"""Return files as sent: numbered versions, each kept as it was; a later one is a correction and says what changed.

What was sent is shown again row by row: only rows about whom the caller may be told now (ADR 61).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, zip_longest
from typing import Any, Final

import orjson

from fhir_server.ecm.files import rendering
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.returns.reporting import Asked
from fhir_server.engine.context import Transaction
from fhir_server.fhir.errors import BusinessRule, Conflict, NotFound
from fhir_server.fhir.values import instant
from fhir_server.store import reports
from fhir_server.store.db import lock_keys
from fhir_server.store.hashing import rh
from fhir_server.store.reports import Sent
from fhir_server.store.resources import TENANT

Line = list[str]
_PIECE: Final = 1000  # lines
_VOLATILE: Final = "production_date"  # differs from day to day, and is no news
ADDED, REMOVED, CHANGED = "added", "removed", "changed"
CHANGE_HEADERS: Final = ("Change", "Changed Columns")


@dataclass(frozen=True)
class Row:
    """A line of a file, whom or what it is about, and its cells by header without the production date."""

    key: str
    line: Line
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """A row that one version has and the other has not, or has otherwise."""

    kind: str
    row: Row
    columns: tuple[str, ...] = ()


@dataclass
class _Made:
    """A file that is ready to be kept."""

    pieces: list[bytes] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)
    rows: list[Row] = field(default_factory=list)
    withheld: int = 0


def send(asked: Asked) -> tuple[Sent, bool]:
    """(the version that holds what is known now, whether it is new): nothing is kept if nothing has changed.

    BusinessRule for anybody but the provider, Conflict (409) if another version was sent meanwhile.
    """
    report = asked.report
    context = report.context
    if report.provider != context.caller.org:
        raise BusinessRule("A return file is sent by its provider.", "Group")
    before = reports.newest(context.connection, asked.series)
    made = _make(asked)
    told = differences(_rows(asked, before), made.rows) if before else []
    if before and not told:
        return before, False
    said = {
        "plan": report.plan, "provider": report.provider, "group": report.group.fid if report.group else None,
        "sent": instant(context.now), "rows": len(made.rows), "withheld": made.withheld, **_counts(told),
    }  # fmt: skip
    number = before.number + 1 if before else 1
    row = Sent(TENANT, *asked.series, number, report.as_of, made.digest.hexdigest(), orjson.dumps(said))
    context.transact(partial(_keep, asked, row, made.pieces))
    return row, True


def version(asked: Asked, number: int) -> Sent:
    """A version that was sent; NotFound if there is none of this number, or it is not the caller's to see."""
    report = asked.report
    found = reports.find(report.context.connection, asked.series, number)
    if found is None or report.context.caller.org not in {report.plan, report.provider}:
        raise NotFound("No version of this number was sent.")
    return found


def as_sent(asked: Asked, row: Sent) -> Iterator[Line]:
    """Header and rows of a version as they were, without those about whom the caller may not be told now."""
    shown = asked.at(row.as_of).keys()
    yield _header(asked)
    yield from (one.line for one in _rows(asked, row) if one.key in shown)


def changes(asked: Asked, row: Sent) -> Iterator[Line]:
    """Each row in which a version differs from the one before it, how it differs, and in which columns."""
    before = reports.find(asked.report.context.connection, asked.series, row.number - 1)
    if before is None:
        raise BusinessRule("The first version corrects nothing: it has no changes.", "changes")
    shown = asked.at(row.as_of).keys() | asked.at(before.as_of).keys()
    yield [*_header(asked), *CHANGE_HEADERS]
    for one in differences(_rows(asked, before), _rows(asked, row)):
        if one.row.key in shown:
            yield [*one.row.line, one.kind, "; ".join(one.columns)]


def differences(before: Iterable[Row], after: Iterable[Row]) -> list[Difference]:
    """The rows that differ, in the order of the later version, those that are gone last."""
    former: dict[str, list[Row]] = {}
    for row in before:
        former.setdefault(row.key, []).append(row)
    found = []
    for row in after:
        old = former.get(row.key)
        if not old:
            found.append(Difference(ADDED, row))
            continue
        was = next((one for one in old if one.cells == row.cells), old[0])
        old.remove(was)
        if was.cells != row.cells:
            found.append(Difference(CHANGED, row, tuple(_differing(was.cells, row.cells))))
    return [*found, *(Difference(REMOVED, row) for left in former.values() for row in left)]


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    return (name for name in {**before, **after} if before.get(name) != after.get(name))


def _counts(told: Iterable[Difference]) -> dict[str, Any]:
    found = list(told)
    kinds = [one.kind for one in found]
    columns = sorted({name for one in found for name in one.columns})
    return {kind: kinds.count(kind) for kind in (ADDED, REMOVED, CHANGED)} | {"columns": columns}


def _keep(asked: Asked, row: Sent, pieces: list[bytes], transaction: Transaction) -> None:
    connection = transaction.connection
    lock_keys(connection, [rh("|".join(map(str, asked.series)))])
    newest = reports.newest(connection, asked.series)
    if (newest.number if newest else 0) != row.number - 1:
        raise Conflict("Another version was sent meanwhile. Send it again.")
    reports.add(transaction.batch, row, pieces)
    transaction.audit("send-return-file", 201, [])


# ---- lines -------------------------------------------------------------------------------------------------------


def _make(asked: Asked) -> _Made:
    made = _Made()

    def counted() -> Iterator[Any]:
        for fact, withheld in asked.facts():
            made.withheld += withheld
            if fact is not None:
                yield fact

    lines = list(rendering.rows(asked.layout, counted()))
    for piece in rendering.render(FORMATS["csv"], lines):
        made.digest.update(piece)
    left = iter(lines)
    while some := list(islice(left, _PIECE)):
        made.pieces.append(zlib.compress(b"\n".join(map(orjson.dumps, some))))
    made.rows = list(_read(asked, lines))
    return made


def _rows(asked: Asked, row: Sent) -> Iterator[Row]:
    def lines() -> Iterator[Line]:
        for piece in reports.pieces(asked.report.context.connection, row):
            yield from map(orjson.loads, zlib.decompress(piece).split(b"\n"))

    return _read(asked, lines())


def _read(asked: Asked, lines: Iterable[Line]) -> Iterator[Row]:
    """The rows below the header of a kept file."""
    columns = {column.header: column.maps_to for column in asked.layout.columns}
    left = iter(lines)
    header = next(left)
    at = next(place for place, name in enumerate(header) if columns.get(name) == asked.kind.key)
    steady = [name for name in header if columns.get(name) != _VOLATILE]
    for line in left:
        cells = dict(zip_longest(header, line, fillvalue=""))
        yield Row(line[at], line, {name: cells[name] for name in steady})


def _header(asked: Asked) -> Line:
    return next(rendering.rows(asked.layout, ()))
