"""What the sending plan decides of a file of its own: confirm or withdraw one that is held, recall one in force."""

from __future__ import annotations

import orjson

from fhir_server.ecm.files.assignments.intake import KIND, RECALL, RESOLVE, RIGHT
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import BusinessRule, Forbidden, NotFound
from fhir_server.jobs import files, queue
from fhir_server.store import loads
from fhir_server.store.loads import Load

_SAID = {
    loads.HELD: "It is held: confirm or withdraw it.",
    loads.CONFIRMED: "It was confirmed and is being taken in.",
    loads.WITHDRAWN: "It was withdrawn.",
    loads.IN_FORCE: "It is in force: recall it to undo it.",
    loads.RECALLED: "It was recalled.",
}


def confirm(context: Context, job_id: str) -> str:
    """Let a held file be taken in as its preview says; the id of its job, which goes on.

    NotFound if the organization has sent no such file, BusinessRule if it is not held. If its rosters have changed
    since, it is held again with a new preview.
    """
    found = _own(context, job_id)
    preview = queue.status(context, job_id).result

    def work(transaction: Transaction) -> None:
        _move(transaction, found, loads.HELD, loads.CONFIRMED)
        arguments = {**orjson.loads(found.arguments), "confirmed": preview["versions"]}
        queue.again(transaction, job_id, arguments)
        transaction.audit("import-confirmed", 202, [])

    context.transact(work)
    return job_id


def withdraw(context: Context, job_id: str) -> None:
    """Give up a held file, and remove it; NotFound and BusinessRule as for `confirm`."""
    found = _own(context, job_id)

    def work(transaction: Transaction) -> None:
        _move(transaction, found, loads.HELD, loads.WITHDRAWN)
        files.remove(orjson.loads(found.arguments)["file"], transaction.connection)
        transaction.audit("import-withdrawn", 200, [])

    context.transact(work)


def recall(context: Context, job_id: str, request: str) -> str:
    """Ask for a file in force to be undone; the id of the job that does it. NotFound, BusinessRule as for `confirm`."""
    found = _own(context, job_id)
    _require(found.state, loads.IN_FORCE)
    return _submit(context, {"task": RECALL, "load": job_id, "request": request}, "recall-kick-off")


def resolve(context: Context, request: str) -> str:
    """Ask for the organization's parked rows to be looked at again; the id of the job that does it."""
    _require_right(context)
    return _submit(context, {"task": RESOLVE, "request": request}, "resolve-kick-off")


def _submit(context: Context, arguments: dict[str, str], interaction: str) -> str:
    job_id = context.engine.ids.fid()

    def work(transaction: Transaction) -> None:
        queue.submit(transaction, job_id, KIND, arguments)
        transaction.audit(interaction, 202, [])

    context.transact(work)
    return job_id


def _own(context: Context, job_id: str) -> Load:
    _require_right(context)
    found = loads.find(context.connection, context.caller.org_hash, job_id)
    if found is None or found.mode == loads.STEP:
        raise NotFound("Your organization has sent no such file.")
    return found


def _require_right(context: Context) -> None:
    if RIGHT not in context.caller.rights:
        raise Forbidden(f"Assignment files are a plan's: this client is not registered with the right {RIGHT}.")


def _move(transaction: Transaction, found: Load, before: str, after: str) -> None:
    if not loads.move(transaction.connection, found.id, before, after, transaction.context.now):
        current = loads.find(transaction.connection, found.owner, found.id) or found
        _require(current.state, before)


def _require(state: str, wanted: str) -> None:
    if state != wanted:
        raise BusinessRule(f"This file cannot be {_DEEDS[wanted]}. {_SAID.get(state, state)}")


_DEEDS = {loads.HELD: "confirmed or withdrawn", loads.IN_FORCE: "recalled"}
