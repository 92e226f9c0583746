"""The roster of a contract: one Group for a plan and a provider, found by its key or made."""

from __future__ import annotations

from fhir_server.ecm.directory import Provider
from fhir_server.ecm.rosters import groups
from fhir_server.engine import access_rows, keys, writing
from fhir_server.engine.context import Transaction
from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import FHIRError
from fhir_server.store import resources
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row


def roster(transaction: Transaction, plan: str, provider: Provider) -> Row:
    """The roster of the plan's contract with a provider, made if there is none; the caller acts as the plan.

    FHIRError if there is one that the caller's token does not reach.
    """
    context = transaction.context
    group = groups.new_roster(plan, provider.reference, provider.name)
    key, number = f"contract|{group['identifier'][0]['value']}", type_number("Group")
    held = keys.preload(transaction, context.caller.org_hash, number, [key])
    if key in held:
        row = resources.read(transaction.connection, context.visible("u"), "Group", held[key])
        if row is None or row.deleted:
            raise FHIRError("The roster cannot be read. The client needs system/Group.cru.")
        return row
    row = writing.insert(transaction, writing.built(context, "Group", group)).row
    keys.hold(transaction, row, key)
    access_rows.show(transaction, row, rh(provider.reference))
    return row
