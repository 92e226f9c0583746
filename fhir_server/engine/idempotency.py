"""Answers kept by the key under which a client asked, stored with what they answer (P13).

A key belongs to its client for a day. What was refused is not kept: the same key may be tried again.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, select, tuple_, update

from fhir_server.engine.context import Transaction
from fhir_server.store.db import try_lock_key
from fhir_server.store.hashing import rh
from fhir_server.store.resources import TENANT
from fhir_server.store.statements import Statement
from fhir_server.store.tables import idempotency

KEPT_MS = 24 * 3600 * 1000

_TIDY_BELOW = 4  # of 256: how often a new key takes the old ones away


class Answer(NamedTuple):
    """A kept answer, and the digest of the request it answered."""

    digest: bytes
    status: int
    headers: dict[str, str]
    modified: int | None  # of the version in it, in milliseconds
    body: bytes


def hold(transaction: Transaction, key: str) -> bool:
    """Whether nobody else works under this key at the moment; nobody will until the transaction ends."""
    return try_lock_key(transaction.connection, rh(f"idempotency {transaction.context.caller.client} {key}"))


def find(transaction: Transaction, key: str) -> Answer | None:
    """The answer kept under this client's key in the last day."""
    context = transaction.context
    place = {"client": context.caller.client, "key": key}
    rows = _FIND.rows(transaction.connection, place)
    if not rows:
        return None
    digest, at, status, headers, body = rows[0]
    if at <= context.now - KEPT_MS:
        transaction.connection.execute(_FORGET, {"client_": place["client"], "key_": key})
        return None
    shown, modified = orjson.loads(bytes(headers))
    return Answer(bytes(digest), status, shown, modified, bytes(body))


def keep(transaction: Transaction, key: str, answer: Answer) -> None:
    """Keep an answer with the transaction that it tells of."""
    client, now = transaction.context.caller.client, transaction.context.now
    if answer.digest[0] < _TIDY_BELOW:
        tidy(now, transaction.connection)
    headers = orjson.dumps([answer.headers, answer.modified])
    transaction.batch.add(
        idempotency, TENANT, 0, client, key, answer.digest, now, answer.status, headers, answer.body
    )  # fmt: skip


def tidy(now: int, connection: Connection) -> None:
    """Take away the answers that were kept for a day: they hold members' data."""
    connection.execute(_TIDY, {"before": now - KEPT_MS})


def forget(connection: Connection, ids: Collection[str]) -> None:
    """Leave of the answers that name one of these resources no more than their status and place.

    The keys stay: what was done under them must not be done again.
    """
    wanted = {fid.encode() for fid in ids}
    place = {"client": "", "key": ""}
    while rows := _PAGE.rows(connection, place):
        place = {"client": rows[-1][0], "key": rows[-1][1]}
        for client, key, body in rows:
            if not wanted.isdisjoint(_ID.findall(bytes(body))):
                connection.execute(_BARE, {"client_": client, "key_": key, "body_": _bare(bytes(body))})


def _bare(body: bytes) -> bytes:
    """Nothing; of a Bundle the status and place of its entries."""
    bundle = orjson.loads(body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        return b""
    told = [one.get("response", {}) for one in bundle.get("entry", ())]
    entries = [{"response": {name: one[name] for name in _PLACES if name in one}} for one in told]
    return orjson.dumps({"resourceType": "Bundle", "type": bundle["type"], "entry": entries})


_ID = re.compile(rb"[A-Za-z0-9\-.]{1,64}")
_PLACES = ("status", "location", "etag", "lastModified")
_PAGE_SIZE = 200
_table = idempotency.c
_FIND = Statement(
    select(_table.request_hash, _table.at, _table.status, _table.headers, _table.body).where(
        _table.tenant == TENANT, _table.client == bindparam("client"), _table.key == bindparam("key")
    )
)
_PAGE = Statement(
    select(_table.client, _table.key, _table.body)
    .where(_table.tenant == TENANT, tuple_(_table.client, _table.key) > tuple_(bindparam("client"), bindparam("key")))
    .order_by(_table.client, _table.key)
    .limit(_PAGE_SIZE)
)
_BARE = (
    update(idempotency)
    .where(_table.tenant == TENANT, _table.client == bindparam("client_"), _table.key == bindparam("key_"))
    .values(body=bindparam("body_"))
)
_FORGET = delete(idempotency).where(
    _table.tenant == TENANT, _table.client == bindparam("client_"), _table.key == bindparam("key_")
)
_TIDY = delete(idempotency).where(_table.at < bindparam("before"))
