"""What a kind of job is, and one run of it.

A job works in chunks. Each chunk's changes and the new cursor are stored in one transaction, so that a run that dies
is continued by another worker exactly where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, update

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.engine.context import Context, Engine, Transaction
from fhir_server.jobs import rights
from fhir_server.jobs.rights import NOBODY, Registered
from fhir_server.store.hashing import rh
from fhir_server.store.tables import job


class LeaseLost(Exception):
    """Another worker has taken the job over, or it was cancelled: stop without storing anything more."""


class Later(Exception):
    """Another job must end first: this one goes back to the queue and the try does not count."""


@dataclass(frozen=True)
class Job:
    """A kind of job; `run` is called with the cursor of the last stored chunk and must end by `finish`."""

    kind: str
    run: Callable[[Run], None]


@dataclass
class Run:
    """One worker's hold on one job."""

    engine: Engine
    id: str
    worker: str
    caller: Caller
    arguments: Mapping[str, Any]
    cursor: dict[str, Any] = field(default_factory=dict)
    registered: Registered = NOBODY  # the client's registration when it was last looked at

    def context(self) -> Context:
        """A context that acts as the client that asked for the job."""
        return self.engine.context(self.caller, f"job-{self.id}")

    def save(self, transaction: Transaction, cursor: dict[str, Any], progress: str) -> None:
        """Store the cursor with this transaction's changes.

        LeaseLost if the job is no longer this worker's, Forbidden if its client has lost rights meanwhile.
        """
        self._store(transaction, cursor=orjson.dumps(cursor), progress=progress)

    def finish(self, transaction: Transaction, result: Mapping[str, Any]) -> None:
        """Store the result and end the job with this transaction; LeaseLost, Forbidden as for `save`."""
        self._store(transaction, state="completed", result=orjson.dumps(result), progress="complete")

    def require_rights(self, connection: Connection) -> None:
        """Forbidden unless the client that asked for the job is registered with all that the job acts with."""
        self.registered = rights.registered(connection, self.caller.client)
        rights.require(self.caller, self.registered)

    def _store(self, transaction: Transaction, **values: Any) -> None:
        if self._is_stored(transaction, values):
            return
        self.require_rights(transaction.connection)  # a registration that was extended is no reason to stop
        if not self._is_stored(transaction, values):
            raise LeaseLost

    def _is_stored(self, transaction: Transaction, given: Mapping[str, Any]) -> bool:
        now = self.engine.clock()
        values = {**given, "updated": now, "lease_until": now + self.engine.settings.lease_seconds * 1000}
        mine = (job.c.id == bindparam("id_"), job.c.lease_by == bindparam("by_"), job.c.state == "running")
        statement = update(job).where(*mine, rights.unchanged()).values({name: bindparam(name) for name in values})
        same = rights.binds(self.caller.client, self.registered)
        done = transaction.connection.execute(statement, {**values, **same, "id_": self.id, "by_": self.worker})
        return done.rowcount == 1


def dump_caller(caller: Caller) -> bytes:
    """A caller as the job row keeps it."""
    return orjson.dumps(
        {
            "client": caller.client,
            "org": caller.org,
            "law_class": caller.law_class,
            "scopes": caller.scopes.text,
            "purpose": caller.purpose,
            "operator": caller.operator,
            "rights": sorted(caller.rights),
        }
    )


def load_caller(text: bytes) -> Caller:
    """The caller in a job row."""
    kept = orjson.loads(text)
    scopes, rights = parse(kept.pop("scopes")), frozenset(kept.pop("rights"))
    return Caller(org_hash=rh(kept["org"]), scopes=scopes, rights=rights, **kept)
