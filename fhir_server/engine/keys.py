"""Identities that are unique per owner: no organization has two Patients with one identifier (design: access)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.fhir.errors import Conflict
from fhir_server.store.resources import TENANT, Row
from fhir_server.store.statements import Statement
from fhir_server.store.tables import keys


def claim(transaction: Transaction, what: Change) -> None:
    """Take the identifiers of a Patient for its owner; Conflict (409) if another of its Patients has one."""
    if what.type != "Patient":
        return
    old = set(_identifiers(what.old or {})) if what.before and not what.before.deleted else set()
    new = set(_identifiers(what.resource))
    for key in old - new:
        transaction.connection.execute(_RELEASE_ONE, {"rid_": what.row.rid, "key_": key})
        transaction.held_keys[what.row.owner, what.row.type, key] = None
    for key in sorted(new - old):
        _require_free(transaction, what.row, key)
        hold(transaction, what.row, key)


def release(transaction: Transaction, row: Row) -> None:
    """Give up all identifiers of a deleted resource."""
    transaction.connection.execute(_RELEASE, {"rid_": row.rid})


def preload(transaction: Transaction, owner: int, type_: int, wanted: Iterable[str]) -> dict[str, str]:
    """Key -> logical id for those of these keys that are held; the others are known to be free afterwards."""
    names = sorted(set(wanted))
    found = holders(transaction.connection, owner, type_, names)
    transaction.held_keys.update({(owner, type_, name): found.get(name) for name in names})
    return found


def holders(connection: Connection, owner: int, type_: int, wanted: Iterable[str]) -> dict[str, str]:
    """Key -> logical id for those of these keys that an owner holds."""
    mine = keys.c.tenant == TENANT, keys.c.owner == owner, keys.c.type == type_
    query = select(keys.c.key, keys.c.fid).where(*mine, keys.c.key.in_(sorted(set(wanted))))
    return {row.key: row.fid for row in connection.execute(query)}


def hold(transaction: Transaction, row: Row, key: str) -> None:
    """Give a key of its owner to a resource."""
    transaction.held_keys[row.owner, row.type, key] = row.fid
    transaction.batch.add(keys, TENANT, row.part, row.owner, row.type, key, row.rid, row.fid)


def owner_of(transaction: Transaction, owner: int, type_: int, key: str) -> str | None:
    """The logical id that holds a key for an owner; None if it is free."""
    if (owner, type_, key) in transaction.held_keys:
        return transaction.held_keys[owner, type_, key]
    rows = _HOLDER.rows(transaction.connection, {"owner": owner, "type": type_, "key": key})
    return rows[0][0] if rows else None


def starting(connection: Connection, owner: int, type_: int, prefix: str) -> list[str]:
    """The keys of an owner that begin with these characters."""
    mine = keys.c.tenant == TENANT, keys.c.owner == owner, keys.c.type == type_
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    query = select(keys.c.key).where(*mine, keys.c.key >= prefix, keys.c.key < end)
    return list(connection.execute(query.order_by(keys.c.key)).scalars())


def _require_free(transaction: Transaction, row: Row, key: str) -> None:
    holder = owner_of(transaction, row.owner, row.type, key)
    if holder and holder != row.fid:
        message = f"Your organization's Patient/{holder} has this identifier already. Update that one."
        raise Conflict(message, "Patient.identifier")


def _identifiers(resource: Mapping[str, Any]) -> Iterator[str]:
    for identifier in resource.get("identifier", []):
        if identifier.get("system") and identifier.get("value"):
            yield f"{identifier['system']}|{identifier['value']}"


_HOLDER = Statement(
    select(keys.c.fid).where(
        keys.c.tenant == TENANT,
        keys.c.owner == bindparam("owner"),
        keys.c.type == bindparam("type"),
        keys.c.key == bindparam("key"),
    )
)
_RELEASE = delete(keys).where(keys.c.rid == bindparam("rid_"))
_RELEASE_ONE = _RELEASE.where(keys.c.key == bindparam("key_"))
