"""Jobs of one kind for one organization take turns in the order they were asked for, whichever workers there are."""

from sqlalchemy import and_, bindparam, or_, select

from fhir_server.jobs.job import Later, Run
from fhir_server.store.statements import Statement
from fhir_server.store.tables import job


def await_turn(run: Run) -> None:
    """Later, if a job of this kind and organization was asked for before and has not ended, or runs at this moment."""
    if _AHEAD.rows(run.engine.database.read(), {"id": run.id}):
        raise Later


_mine, _other = job.alias("mine"), job.alias("other")
_before = or_(_other.c.created < _mine.c.created, and_(_other.c.created == _mine.c.created, _other.c.id < _mine.c.id))
_AHEAD = Statement(
    select(_other.c.id)
    .where(
        _mine.c.id == bindparam("id"),
        _other.c.id != _mine.c.id,
        _other.c.owner == _mine.c.owner,
        _other.c.kind == _mine.c.kind,
        or_(_other.c.state == "running", and_(_other.c.state == "queued", _before)),
    )
    .limit(1)
)
