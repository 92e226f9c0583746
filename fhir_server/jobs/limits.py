"""What one client may ask of the workers, and one organization of the store: so that nobody crowds the others out.

https://hl7.org/fhir/uv/bulkdata/export.html#bulk-data-kick-off-request (servers answer 429 with Retry-After)
"""

from sqlalchemy import Connection, bindparam, func, or_, select

from fhir_server.engine.context import Context, Engine
from fhir_server.fhir.errors import Throttled
from fhir_server.store.db import lock_key
from fhir_server.store.hashing import rh
from fhir_server.store.resources import TENANT
from fhir_server.store.statements import Statement
from fhir_server.store.tables import file, job

_WAIT = {"Retry-After": "60"}


def require_turn(context: Context, connection: Connection) -> None:
    """Throttled (429) if the client has as many unfinished jobs as it may have.

    Within a transaction the client's next one waits here until this one is counted.
    """
    most, client = context.engine.settings.max_open_jobs, context.caller.client
    if context.transaction:
        lock_key(connection, rh(f"jobs|{client}"))
    if int(_OPEN.rows(connection, {"client": client})[0][0]) >= most:
        message = f"{most} jobs of this client are not finished yet. Wait for one to end, or cancel one with DELETE."
        raise Throttled(message, headers=_WAIT)


def require_space(engine: Engine, connection: Connection, owner: int, piece: int) -> None:
    """Throttled (429) if the organization's files, counted in pieces of `piece` bytes, fill the space it has."""
    most = engine.settings.max_stored_bytes
    if int(_PIECES.rows(connection, {"owner": owner})[0][0]) * piece >= most:
        message = f"The files of this organization fill its {most} bytes. Delete jobs whose files you have fetched."
        raise Throttled(message, headers=_WAIT)


_OPEN = Statement(
    select(func.count())
    .select_from(job)
    .where(job.c.client == bindparam("client"), job.c.tenant == TENANT)
    .where(or_(job.c.state == "queued", job.c.state == "running"))
)
_PIECES = Statement(select(func.count()).select_from(file).where(file.c.owner == bindparam("owner")))
