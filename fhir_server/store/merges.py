"""Which Patients were found to be one person: the records that were replaced, and those that stand for them."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, or_, select

from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement
from fhir_server.store.tables import merged

_CHUNK = 500


class Merge(NamedTuple):
    """One Patient replaced by another, in the order of the table's columns."""

    tenant: int
    source: int
    target: int
    owner: int
    at: int
    record: bytes


def links(connection: Connection, patients: Collection[int]) -> list[tuple[int, int, int]]:
    """(source, target, since when) of every merge of the persons whom these patients are; [] at no cost without any."""
    if not patients or not _ANY.rows(connection, {}):
        return []
    wanted = sorted(set(patients))
    targets: set[int] = set()
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        query = select(merged.c.target).where(or_(merged.c.source.in_(some), merged.c.target.in_(some)))
        targets.update(connection.execute(query).scalars())
    found: list[tuple[int, int, int]] = []
    for start in range(0, len(targets), _CHUNK):
        of = sorted(targets)[start : start + _CHUNK]
        rows = connection.execute(select(merged.c.source, merged.c.target, merged.c.at).where(merged.c.target.in_(of)))
        found += [(row.source, row.target, row.at) for row in rows]
    return sorted(found)


def linked(connection: Connection, patients: Collection[int]) -> set[int]:
    """The other records of the persons whom these patients are."""
    return {patient for link in links(connection, patients) for patient in link[:2]}


def of_source(connection: Connection, source: int) -> Merge | None:
    """The merge by which a Patient was replaced; None if it was not."""
    rows = _OF_SOURCE.rows(connection, {"source": source})
    return Merge._make(rows[0]) if rows else None


def of_owner(connection: Connection, owner: int) -> list[Merge]:
    """Every merge of an organization that stands."""
    return [Merge._make(row) for row in _OF_OWNER.rows(connection, {"owner": owner})]


def add(batch: Batch, row: Merge) -> None:
    """Let a merge stand."""
    batch.add(merged, *row)


def end(connection: Connection, sources: Collection[int]) -> None:
    """Take back the merges by which these Patients were replaced."""
    connection.execute(delete(merged).where(merged.c.source.in_(sorted(set(sources)))))


_ANY = Statement(select(merged.c.source).limit(1))
_OF_SOURCE = Statement(select(merged).where(merged.c.source == bindparam("source")))
_OF_OWNER = Statement(select(merged).where(merged.c.owner == bindparam("owner")).order_by(merged.c.at))
