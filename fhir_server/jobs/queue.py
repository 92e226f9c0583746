"""Jobs asked for, looked at and cancelled by the client that asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, select, update

from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import NotFound
from fhir_server.jobs import limits
from fhir_server.jobs.expiry import DAY
from fhir_server.jobs.job import dump_caller
from fhir_server.store.resources import TENANT
from fhir_server.store.statements import Statement
from fhir_server.store.tables import file, job


@dataclass(frozen=True)
class Status:
    """A job as its client sees it. state: queued, running, completed, failed, cancelled.

    Once finished it is kept until `expires`, with its files.
    """

    id: str
    kind: str
    state: str
    progress: str
    created: int
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]
    expires: int


def submit(transaction: Transaction, job_id: str, kind: str, arguments: Mapping[str, Any]) -> None:
    """Queue a job with the transaction that causes it; a worker sees it once that is stored.

    Throttled (429) if the client has too many that are not finished.
    """
    context = transaction.context
    limits.require_turn(context, transaction.connection)
    now, caller = context.now, context.caller
    transaction.batch.add(
        job, TENANT, job_id, kind, caller.client, caller.org_hash, "queued", now, now, 0, "", 0,
        dump_caller(caller), orjson.dumps(arguments), b"{}", "waiting", b"{}",
    )  # fmt: skip


def again(transaction: Transaction, job_id: str, arguments: Mapping[str, Any]) -> None:
    """Queue a job that has ended once more, from its start and with these arguments; NotFound if it is not there."""
    values = {"id_": job_id, "at": transaction.context.now, "arguments_": orjson.dumps(arguments)}
    if transaction.connection.execute(_AGAIN, values).rowcount != 1:
        raise NotFound("There is no such job of yours.")


def status(context: Context, job_id: str) -> Status:
    """A job of this very client; NotFound for any other (L9)."""
    rows = _STATUS.rows(context.connection, {"id": job_id, "client": context.caller.client})
    if not rows or rows[0][2] == "cancelled":
        raise NotFound("There is no such job of yours.")
    *plain, arguments, result, updated = rows[0]
    kept = context.engine.settings.job_days * DAY
    found: list[Any] = [*plain, orjson.loads(arguments), orjson.loads(result), updated + kept]
    return Status(*found)


def cancel(context: Context, job_id: str) -> None:
    """End a job of this client and remove its files; NotFound if there is none."""
    status(context, job_id)

    def work(transaction: Transaction) -> None:
        transaction.connection.execute(_CANCEL, {"id_": job_id, "at": context.now})
        transaction.connection.execute(_REMOVE_FILES, {"job_": job_id})
        transaction.events.append(transaction.context.event("job-cancel", 202, [], job_id))

    context.transact(work)


_SHOWN = ("id", "kind", "state", "progress", "created", "arguments", "result", "updated")
_STATUS = Statement(
    select(*[job.c[name] for name in _SHOWN]).where(
        job.c.id == bindparam("id"), job.c.client == bindparam("client"), job.c.tenant == TENANT
    )
)
_CANCEL = (
    update(job).where(job.c.id == bindparam("id_")).values(state="cancelled", lease_by="", updated=bindparam("at"))
)
_AGAIN = (
    update(job)
    .where(job.c.id == bindparam("id_"), job.c.state == "completed")
    .values(
        state="queued", lease_by="", lease_until=0, attempts=0, cursor=b"{}", result=b"{}", progress="waiting",
        updated=bindparam("at"), arguments=bindparam("arguments_"),
    )
)  # fmt: skip
_REMOVE_FILES = delete(file).where(file.c.job == bindparam("job_"))
