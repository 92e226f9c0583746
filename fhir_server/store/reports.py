"""Return files that were sent: numbered versions of one file between a plan and a provider, kept as they were."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, or_, select

from fhir_server.store.resources import TENANT
from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement
from fhir_server.store.tables import report, report_piece


class Series(NamedTuple):
    """One file of which there may be several versions: between whom, of which roster (0: none), about which period."""

    plan: int
    provider: int
    grp: int
    kind: str
    period: str


class Sent(NamedTuple):
    """One version of a file, in the order of the table's columns; `said` is JSON."""

    tenant: int
    plan: int
    provider: int
    grp: int
    kind: str
    period: str
    number: int
    as_of: int
    sha256: str
    said: bytes


def add(batch: Batch, row: Sent, pieces: Sequence[bytes]) -> None:
    """Keep a version with its pieces."""
    batch.add(report, *row)
    batch.extend(report_piece, [(*row[:7], number, body) for number, body in enumerate(pieces)])


def newest(connection: Connection, series: Series) -> Sent | None:
    """The newest version of a file; None if it was never sent."""
    rows = _NEWEST.rows(connection, series._asdict())
    return Sent._make(rows[0]) if rows else None


def find(connection: Connection, series: Series, number: int) -> Sent | None:
    """One version of a file; None if there is none of this number."""
    rows = _FIND.rows(connection, {**series._asdict(), "number": number})
    return Sent._make(rows[0]) if rows else None


def of_roster(connection: Connection, group: int) -> list[Sent]:
    """Every file sent about a roster, by period, kind and number."""
    return [Sent._make(row) for row in _OF_ROSTER.rows(connection, {"grp": group})]


def of_party(connection: Connection, organization: int) -> list[Sent]:
    """Every file that an organization sent or was sent, in the same order."""
    return [Sent._make(row) for row in _OF_PARTY.rows(connection, {"org": organization})]


def pieces(connection: Connection, row: Sent) -> Iterator[bytes]:
    """The pieces of a version, in order."""
    number = 0
    place = {name: getattr(row, name) for name in (*Series._fields, "number")}
    while rows := _PIECE.rows(connection, {**place, "piece": number}):
        yield bytes(rows[0][0])
        number += 1


_SAME = [report.c[name] == bindparam(name) for name in Series._fields]
_ORDER = [report.c[name] for name in ("period", "kind", "plan", "provider", "number")]
_NEWEST = Statement(select(report).where(report.c.tenant == TENANT, *_SAME).order_by(report.c.number.desc()).limit(1))
_FIND = Statement(select(report).where(report.c.tenant == TENANT, *_SAME, report.c.number == bindparam("number")))
_OF_ROSTER = Statement(
    select(report).where(report.c.tenant == TENANT, report.c.grp == bindparam("grp")).order_by(*_ORDER)
)
_MINE = or_(report.c.plan == bindparam("org"), report.c.provider == bindparam("org"))
_OF_PARTY = Statement(select(report).where(report.c.tenant == TENANT, _MINE).order_by(*_ORDER))
_PIECE = Statement(
    select(report_piece.c.body).where(
        *[report_piece.c[name] == bindparam(name) for name in (*Series._fields, "number", "piece")]
    )
)
