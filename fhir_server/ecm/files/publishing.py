"""The end of an import: drop who is absent from a full file, publish the rosters' next version."""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.access.relations import member_rel
from fhir_server.ecm import rosters
from fhir_server.engine import access_rows, roster_rows, writing
from fhir_server.engine.transaction import Transaction
from fhir_server.fhir import wire
from fhir_server.store import members, resources
from fhir_server.store.hashing import rh
from fhir_server.store.members import LAST, Member
from fhir_server.store.resources import Row

PAGE = 500


def absent(transaction: Transaction, group: int, after: str, is_named: Callable[[Member], bool]) -> tuple[list[Member], str]:
    """(members of the next page of a roster whom the file does not name, last key looked at or "" at the end)."""
    page = members.walk(transaction.connection, group, after, PAGE)
    return [row for row in page if not is_named(row)], page[-1].key if page else ""


def drop(transaction: Transaction, group: Row, rows: list[Member]) -> None:
    """Mark members as dropped from the roster's next version on; their assignment ends now, nothing is deleted."""
    transaction.marks.add(rosters.IMPORTING)
    now, version = transaction.context.now, group.ver + 1
    begun = [row._replace(change="dropped", from_version=version, to_version=LAST, ends=min(row.ends, now)) for row in rows]
    roster_rows.replace(transaction, rows, begun)
    rels = [member_rel(group.rh, row.patient, rh(f"Organization/{row.provider_fid}"), row.begins, row.ends) for row in begun]
    access_rows.set_relations(transaction, group.rh, rels)


def publish(transaction: Transaction, fid: str) -> int:
    """Store the roster's next version, which its members have been written for; its number."""
    transaction.marks.add(rosters.IMPORTING)
    row = resources.read(transaction.connection, transaction.context.visible("u"), "Group", fid)
    if row is None:
        message = "A roster that is being imported cannot disappear."
        raise LookupError(message)
    group = writing.Draft("Group", row.body, wire.parse(row.body))
    made = writing.change(transaction, row, group)
    transaction.audit("update", 200, [made])
    return made.row.ver
