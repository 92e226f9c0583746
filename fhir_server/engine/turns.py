"""What one client may do only so often: a turn is taken in the transaction of what is done, or refused with a time."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.engine.context import Transaction
from fhir_server.fhir.errors import Throttled
from fhir_server.store import turns
from fhir_server.store.db import lock_key
from fhir_server.store.hashing import rh

MINUTE, DAY = 60_000, 86_400_000  # ms


def take(transaction: Transaction, kind: str, limits: Mapping[int, int]) -> None:
    """Count a turn of the caller; Throttled (429, Retry-After) if it had as many as a span (ms) of `limits` allows.

    What is refused is not counted, and neither is what fails later in the transaction.
    """
    context, connection, longest = transaction.context, transaction.connection, max(limits)
    client, now = context.caller.client, context.now
    lock_key(connection, rh(f"turns|{kind}|{client}"))  # two at once count one after the other
    before = turns.taken(connection, kind, client, now - longest)
    for span, most in sorted(limits.items(), reverse=True):
        if most <= sum(at > now - span for at in before):
            free = before[most - 1] + span - now if most else span
            message = f"This client may do this {most} times in {span // 1000} seconds. Try again later."
            raise Throttled(message, headers={"Retry-After": str(max(1, -(-free // 1000)))})
    turns.take(connection, kind, client, now, context.engine.ids.fid(), now - longest)
