"""What is left of a record that was removed for good: files of jobs that hold it, and what was written meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update

from fhir_server.engine import purging
from fhir_server.engine.changes import Purged
from fhir_server.engine.context import Engine, Transaction
from fhir_server.fhir.errors import Conflict
from fhir_server.jobs.job import dump_caller, load_caller
from fhir_server.store.statements import Statement
from fhir_server.store.tables import file, job, setting

_WAIT = {"Retry-After": "10"}
_NOTED = "purged:"
_UNFINISHED = ("queued", "running")
_REMOVED = "The files of this job were removed: they held a record that was removed for good."


def note(transaction: Transaction, gone: Purged) -> None:
    """on_purge: note that there is to be a second look, when every transaction that was open has ended."""
    context = transaction.context
    told = orjson.dumps([context.now, orjson.loads(dump_caller(context.caller))]).decode()
    name = f"{_NOTED}{gone.patient.rh}"
    transaction.connection.execute(_LOOKED_AT, {"name_": name})  # its id may have been taken again, and be purged again
    transaction.batch.add(setting, name, told)


def look_again(engine: Engine) -> int:
    """Remove what was being written of Patients while they were purged; the number of resources removed."""
    before = engine.clock() - 2000 * engine.settings.transaction_seconds
    rows = engine.database.read().execute(_TO_LOOK_AT).all()
    return sum(_look(engine, name, *orjson.loads(text)) for name, text in rows if orjson.loads(text)[0] < before)


def _look(engine: Engine, name: str, _at: int, caller: Mapping[str, Any]) -> int:
    def work(transaction: Transaction) -> int:
        transaction.connection.execute(_LOOKED_AT, {"name_": name})
        return purging.purge_rest(transaction.context, int(name.removeprefix(_NOTED)))

    return engine.context(load_caller(orjson.dumps(caller)), "purge").transact(work)


def require_none_under_way(connection: Connection, owner: int, kind: str) -> None:
    """Conflict (409) while jobs of this organization have files to work on, or any job of this kind runs.

    What they have read before would be written behind the back of who removes it.
    """
    mine = connection.execute(_OPEN, {"owner": owner}).first()
    if mine or connection.execute(_RUNNING, {"kind": kind}).first():
        raise Conflict("Files are being worked on that may hold this record. Try again when they are.", headers=_WAIT)


def with_files(connection: Connection, kind: str, owner: int | None = None) -> list[tuple[str, str, str]]:
    """(job, file, name) of every file of the finished jobs of a kind, of one organization if `owner` says so."""
    rows = connection.execute(_FILES, {"kind": kind}).all()
    return [(job_id, file_id, name) for job_id, file_id, name, whose in rows if owner in (None, whose)]


def remove(connection: Connection, jobs: Sequence[str]) -> None:
    """Remove all files of these jobs; their status says so."""
    for job_id in jobs:
        connection.execute(_REMOVE, {"job_": job_id})
        found = _RESULT.rows(connection, {"id": job_id})
        for (result,) in found:
            told = {**orjson.loads(bytes(result)), "output": [], "removed": _REMOVED}
            connection.execute(_TELL, {"id_": job_id, "result_": orjson.dumps(told)})


_TO_LOOK_AT = select(setting.c.name, setting.c.value).where(setting.c.name.startswith(_NOTED))
_LOOKED_AT = delete(setting).where(setting.c.name == bindparam("name_"))
_HAS_FILES = select(file.c.id).where(file.c.job == job.c.id).exists()
_OPEN = select(job.c.id).where(job.c.owner == bindparam("owner"), job.c.state.in_(_UNFINISHED), _HAS_FILES).limit(1)
_RUNNING = select(job.c.id).where(job.c.kind == bindparam("kind"), job.c.state == "running").limit(1)
_FILES = (
    select(file.c.job, file.c.id, file.c.name, job.c.owner)
    .select_from(file.join(job, job.c.id == file.c.job))
    .where(file.c.piece == 0, job.c.kind == bindparam("kind"), job.c.state.not_in(_UNFINISHED))
)
_REMOVE = delete(file).where(file.c.job == bindparam("job_"))
_RESULT = Statement(select(job.c.result).where(job.c.id == bindparam("id")))
_TELL = update(job).where(job.c.id == bindparam("id_")).values(result=bindparam("result_"))
