"""Reading the audit trail: what was done in a span of time, in order, page by page."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, or_, select

from fhir_server.store.resources import TENANT
from fhir_server.store.statements import Statement
from fhir_server.store.tables import audit, client

_PAGE = 2000


class Done(NamedTuple):
    """One event: microseconds, its place in its chain, what, with which outcome, by whom, about what."""

    at: int
    chain: int
    seq: int
    interaction: str
    outcome: int
    client: str
    org: int
    entities: bytes
    query: str


def between(connection: Connection, since: int, until: int) -> Iterator[Done]:
    """Every event from `since` up to `until`, both in microseconds, in the order of time."""
    at, chain, seq = since, -1, -1
    while rows := _BETWEEN.rows(connection, {"at": at, "chain": chain, "seq": seq, "until": until}):
        for row in map(Done._make, rows):
            at, chain, seq = row.at, row.chain, row.seq
            yield row


def organizations(connection: Connection) -> dict[str, str]:
    """Client -> the organization it belongs to."""
    return {row[0]: row[1] for row in _CLIENTS.rows(connection, {})}


def guards_missing(connection: Connection) -> list[str]:
    """The names of the triggers that refuse changes of the trail and are gone, or do not act."""
    guards, query = _GUARDS[connection.dialect.name]
    return sorted(guards - {str(row[0]) for row in connection.exec_driver_sql(query)})


_GUARDS = {
    "sqlite": (
        {"audit_no_update", "audit_no_delete", "audit_no_replace"},
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'",
    ),
    "postgresql": (
        {"audit_no_update", "audit_no_truncate"},
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgenabled = 'A'",
    ),
}
_AFTER = or_(
    audit.c.at > bindparam("at"),
    and_(
        audit.c.at == bindparam("at"),
        or_(
            audit.c.chain > bindparam("chain"),
            and_(audit.c.chain == bindparam("chain"), audit.c.seq > bindparam("seq")),
        ),
    ),
)
_BETWEEN = Statement(
    select(*[audit.c[name] for name in Done._fields])
    .where(audit.c.tenant == TENANT, audit.c.at >= bindparam("at"), audit.c.at < bindparam("until"), _AFTER)
    .order_by(audit.c.at, audit.c.chain, audit.c.seq)
    .limit(_PAGE)
)
_CLIENTS = Statement(select(client.c.id, client.c.organization).where(client.c.tenant == TENANT))
