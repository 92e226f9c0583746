"""The end of an import: drop who is absent from a full file, publish the rosters' next version."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.access.relations import Rel, member_rel
from fhir_server.ecm.rosters import groups, teams
from fhir_server.engine import access_rows, roster_rows, writing
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir import wire
from fhir_server.store import members, resources
from fhir_server.store.hashing import rh
from fhir_server.store.members import LAST, Member
from fhir_server.store.resources import Row

PAGE = 500
RECALLING = "recall"  # the mark of a transaction that puts back what was known before


def page(context: Context, fid: str, after: str) -> list[Member]:
    """The next members of a roster in the order of their keys, dropped ones left out; [] at the end."""
    return members.walk(context.connection, rh(f"Group/{fid}"), after, PAGE)


def drop(transaction: Transaction, fid: str, rows: Sequence[Member]) -> None:
    """Mark members as dropped from the roster's next version on.

    Assignment and care team end now; nothing is deleted.
    """
    transaction.marks.add(groups.IMPORTING)
    group = _roster(transaction, fid)
    begun = [dropped(row, group.ver + 1, transaction.context.now) for row in rows]
    roster_rows.replace(transaction, rows, begun)
    give(transaction, begun)
    visible = transaction.context.visible_targets()
    wanted = [rh(f"CareTeam/{row.team_fid}") for row in rows]
    for team in resources.by_hash(transaction.connection, visible, wanted):
        teams.end(transaction, team)


def dropped(row: Member, version: int, now: int) -> Member:
    """The row of a member who leaves the roster with this version."""
    return row._replace(change="dropped", from_version=version, to_version=LAST, ends=min(row.ends, now))


def give(transaction: Transaction, rows: Sequence[Member]) -> None:
    """Put the relations that follow from these roster rows in place of those their members had.

    Who leaves because a file is recalled was there by mistake: nothing stays readable.
    """
    by_group: dict[int, list[Member]] = {}
    for row in rows:
        by_group.setdefault(row.grp, []).append(row)
    for group, found in by_group.items():
        access_rows.set_relations(transaction, group, [_rel(transaction, row) for row in found])


def _rel(transaction: Transaction, row: Member) -> Rel:
    stays = row.change != "dropped" or RECALLING not in transaction.marks
    provider = rh(f"Organization/{row.provider_fid}")
    return member_rel(row.grp, row.patient, provider, row.begins, row.ends, stays=stays)


def is_pending(transaction: Transaction, fid: str) -> bool:
    """Whether rows wait to be published, such as those of an import that was given up."""
    group, visible = _roster(transaction, fid), transaction.context.visible_targets()
    rows = members.seen(transaction.connection, visible, group.rh, group.ver + 1, "", 1, since=group.ver)
    return bool(rows)


def publish(transaction: Transaction, fid: str) -> int:
    """Store the roster's next version, which its members have been written for; its number."""
    transaction.marks.add(groups.IMPORTING)
    row = _roster(transaction, fid)
    made = writing.change(transaction, row, writing.Draft("Group", row.body, wire.parse(row.body)))
    transaction.audit("update", 200, [made])
    return made.row.ver


def version(transaction: Transaction, fid: str) -> int:
    """The roster's published version."""
    return _roster(transaction, fid).ver


def _roster(transaction: Transaction, fid: str) -> Row:
    row = resources.read(transaction.connection, transaction.context.visible("u"), "Group", fid)
    if row is None:
        message = "A roster that is being imported cannot disappear."
        raise LookupError(message)
    return row
