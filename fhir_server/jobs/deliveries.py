"""What is to be sent: queued with the write that causes it, sent at least once, tried again until it is given up.

Whoever takes a message pushes its due time ahead; who dies before the sending is on record lets it fall due again.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select, update

from fhir_server.engine.context import Engine, Transaction
from fhir_server.store.resources import TENANT
from fhir_server.store.tables import delivery

_LEASE_MS = 60_000
_FIRST_WAIT_MS = 15_000
_LONGEST_WAIT_MS = 3_600_000
MOST_ATTEMPTS = 24  # most of a day


@dataclass(frozen=True)
class Delivery:
    """A message that is due: the id of what it tells, for which organization it goes out, how often it was tried."""

    id: str
    organization: str
    attempts: int


def queue(transaction: Transaction, message: str, organization: str) -> None:
    """Queue a message of an organization; it is stored, and goes out, if this transaction is."""
    now = transaction.context.now
    transaction.batch.add(delivery, TENANT, message, organization, now, now, 0, "waiting")


def claim(engine: Engine) -> Delivery | None:
    """Take the message that is due the longest; None if there is none, or if another sender was faster."""
    now = engine.clock()
    row = engine.database.read().execute(_DUE, {"now": now}).first()
    if row is None:
        return None
    values = {"id_": row.id, "was": row.due, "next": now + _LEASE_MS}
    taken = engine.database.write(lambda connection: connection.execute(_CLAIM, values).rowcount)
    return Delivery(row.id, row.organization, row.attempts + 1) if taken == 1 else None


def settle(transaction: Transaction, message: str, state: str) -> None:
    """Record with this transaction that a message was "sent", or "failed" for good."""
    transaction.connection.execute(_SETTLE, {"id_": message, "state_": state})


def postpone(engine: Engine, message: Delivery) -> None:
    """Try again later; the wait doubles from try to try, up to an hour."""
    wait = min(_FIRST_WAIT_MS * 2**message.attempts, _LONGEST_WAIT_MS)
    values = {"id_": message.id, "next": engine.clock() + wait}
    engine.database.write(lambda connection: connection.execute(_POSTPONE, values).rowcount)


_DUE = (
    select(delivery.c.id, delivery.c.organization, delivery.c.due, delivery.c.attempts)
    .where(delivery.c.state == "waiting", delivery.c.due <= bindparam("now"))
    .order_by(delivery.c.due)
    .limit(1)
)
_CLAIM = (
    update(delivery)
    .where(delivery.c.id == bindparam("id_"), delivery.c.due == bindparam("was"), delivery.c.state == "waiting")
    .values(due=bindparam("next"), attempts=delivery.c.attempts + 1)
)
_SETTLE = update(delivery).where(delivery.c.id == bindparam("id_")).values(state=bindparam("state_"))
_POSTPONE = update(delivery).where(delivery.c.id == bindparam("id_")).values(due=bindparam("next"))
