"""Writing for another organization what it has asked for beforehand, in the transaction that makes it due.

The write is decided, checked and audited as that organization's own: by its view, its rights and its side of the work.
The audit names the client whose request brought it about. A guest calls it for rules that both sides agreed to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from sqlalchemy import select

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.engine import contact_rows
from fhir_server.engine.context import Context, Engine, Transaction
from fhir_server.engine.law_classes import law_classes
from fhir_server.store.hashing import rh
from fhir_server.store.tables import client as clients

_EVERYTHING: Final = parse("system/*.cruds")
_PURPOSE: Final = "HOPERAT"


def context_for(engine: Engine, organization: str, client: str) -> Context:
    """A context outside any transaction in which the server acts for `organization`; the audit names `client`."""
    law_class = law_classes(engine.database.read()).get(rh(organization), "non-hipaa")
    caller = Caller(client, organization, rh(organization), law_class, _EVERYTHING, _PURPOSE)
    return engine.context(caller, client)


def has_right(context: Context, organization: str, right: str) -> bool:
    """Whether a client of an organization that is in use has a right, such as `assign` of a plan."""
    registered = select(clients.c.rights).where(clients.c.organization == organization, clients.c.active)
    return any(right in rights.split() for (rights,) in context.connection.execute(registered))


@contextmanager
def acting_for(transaction: Transaction, organization: str) -> Iterator[Context]:
    """The context of `organization` ("Organization/id") in this very transaction, until the block ends."""
    before = transaction.context
    law_class = transaction.law_class_of(rh(organization)) or "non-hipaa"
    caller = Caller(before.caller.client, organization, rh(organization), law_class, _EVERYTHING, _PURPOSE)
    transaction.context = replace(before, caller=caller, notes={}, _visible={})
    transaction.flush()
    contact_rows.settle(transaction)
    try:
        yield transaction.context
        contact_rows.settle(transaction)
    finally:
        transaction.context = before
