"""Turns that clients took at what they may do only so often: kept in the store, so that every process counts alike."""

from sqlalchemy import Connection, bindparam, delete, insert, select

from fhir_server.store.resources import TENANT
from fhir_server.store.statements import Statement
from fhir_server.store.tables import turn


def taken(connection: Connection, kind: str, client: str, since: int) -> list[int]:
    """The instants (ms) after `since` at which the client took a turn, the latest first."""
    rows = _TAKEN.rows(connection, {"kind": kind, "client": client, "since": since})
    return [int(row[0]) for row in rows]


def take(connection: Connection, kind: str, client: str, at: int, id_: str, forget: int) -> None:
    """Note a turn, and forget those of this client up to the instant `forget`."""
    mine = (turn.c.tenant == TENANT, turn.c.kind == kind, turn.c.client == client)
    connection.execute(delete(turn).where(*mine, turn.c.at <= forget))
    connection.execute(insert(turn).values(tenant=TENANT, kind=kind, client=client, at=at, id=id_))


_TAKEN = Statement(
    select(turn.c.at)
    .where(turn.c.tenant == TENANT, turn.c.kind == bindparam("kind"), turn.c.client == bindparam("client"))
    .where(turn.c.at > bindparam("since"))
    .order_by(turn.c.at.desc())
)
