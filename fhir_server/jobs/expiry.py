"""What is removed after a while: finished jobs and their files, broken uploads, answers kept under a key.

And what was being written of a record while it was removed for good, and the words of removed resources, in the
segments of SQLite's full-text index.
"""

from functools import partial
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, tuple_

from fhir_server.engine import idempotency
from fhir_server.engine.context import Engine
from fhir_server.jobs import remains
from fhir_server.store import purging
from fhir_server.store.tables import file, job

DAY = 86_400_000
_TOGETHER = 64  # pieces removed by one transaction, so that nobody waits long for the writer
_FINISHED = ("completed", "failed", "cancelled")


def purge(engine: Engine) -> int:
    """Remove what is past its time, kept answers too; the number of jobs (and broken uploads) removed."""
    connection, now = engine.database.read(), engine.clock()
    old = connection.execute(_OLD, {"before": now - engine.settings.job_days * DAY}).scalars().all()
    broken = connection.execute(_BROKEN, {"before": now - DAY}).scalars().all()
    for job_id in (*old, *broken):
        _remove(engine, job_id)
    engine.database.write(partial(idempotency.tidy, now))
    remains.look_again(engine)
    while engine.database.write(purging.merge_words):
        pass
    return len(old) + len(broken)


def _remove(engine: Engine, job_id: str) -> None:
    while engine.database.write(lambda connection: connection.execute(_SOME_PIECES, {"job_": job_id}).rowcount):
        pass
    engine.database.write(lambda connection: connection.execute(_JOB, {"id_": job_id}).rowcount)


def _some_pieces() -> Select[Any]:
    return select(file.c.id, file.c.piece).where(file.c.job == bindparam("job_")).limit(_TOGETHER)


_OLD = select(job.c.id).where(job.c.state.in_(_FINISHED), job.c.updated < bindparam("before"))
_BROKEN = (
    select(file.c.job)
    .where(file.c.piece == 0, file.c.at < bindparam("before"), ~select(job.c.id).where(job.c.id == file.c.job).exists())
    .distinct()
)
_SOME_PIECES = delete(file).where(tuple_(file.c.id, file.c.piece).in_(_some_pieces()))
_JOB = delete(job).where(job.c.id == bindparam("id_"))
