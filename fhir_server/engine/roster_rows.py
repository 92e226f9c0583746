"""Writing the rows of Group members, and the index rows by which a Group is found by its members."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.engine.context import Transaction
from fhir_server.store import members, resources
from fhir_server.store.members import Member
from fhir_server.store.resources import TENANT, Row
from fhir_server.store.tables import member, ref


def group(transaction: Transaction, hash_: int) -> Row:
    """The current row of a Group that the caller owns, by its reference hash."""
    found = resources.by_hash(transaction.connection, transaction.context.visible_targets(), [hash_])
    return found[0]


def replace(transaction: Transaction, ended: Sequence[Member], begun: Sequence[Member]) -> None:
    """Let rows end with the published version (or vanish if they were never published) and others begin after it.

    A row may end without another one of its key, where others of its roster begin.
    """
    starts = {row.grp: row.from_version for row in begun}
    unpublished = [row for row in ended if row.from_version == starts[row.grp]]
    published = [row for row in ended if row.from_version != starts[row.grp]]
    members.remove(transaction.connection, unpublished)
    for version in sorted({starts[row.grp] for row in published}):
        members.end(transaction.connection, [row for row in published if starts[row.grp] == version], version)
    transaction.batch.extend(member, begun)
    _index(transaction, [row for row in ended if row.change != "dropped"], begun)


def _index(transaction: Transaction, ended: Sequence[Member], begun: Sequence[Member]) -> None:
    """Group?member=Patient/x and _has:Group:member: rows of the search parameter Group.member."""
    param = transaction.context.engine.params["Group", "member"]
    gone = {(row.grp, row.patient) for row in ended}
    there = {(row.grp, row.patient) for row in begun if row.change != "dropped"}
    transaction.flush()
    groups = {hash_: group(transaction, hash_) for hash_ in {row.grp for row in (*ended, *begun)}}
    for pair, add in [*((pair, False) for pair in gone - there), *((pair, True) for pair in there - gone)]:
        place = groups[pair[0]]
        row = (TENANT, place.part, param, place.rid, pair[1])
        if add:
            transaction.batch.add(ref, *row)
        else:
            transaction.batch.remove(ref, [row])
