"""Files of jobs, kept in the database in pieces: what a client sent and what a job produced.

A file is stored and handed out piece by piece and never held whole.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO

from sqlalchemy import Connection, bindparam, delete, select

from fhir_server.engine.context import Context, Engine
from fhir_server.fhir.errors import NotFound, Throttled, TooLarge
from fhir_server.jobs import limits
from fhir_server.store.resources import TENANT
from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement
from fhir_server.store.tables import file

PIECE = 512 * 1024


@dataclass(frozen=True)
class Stored:
    """A stored file: its id, length in bytes, and SHA-256 in lower-case hex."""

    id: str
    size: int
    sha256: str


def keep(
    engine: Engine,
    owner: int,
    job_id: str,
    name: str,
    media_type: str,
    pieces: Iterable[bytes],
    limit: int | None = None,
) -> Stored:
    """Store a file, each piece durable before the next is read.

    With a `limit` it comes from a client: TooLarge (and nothing kept) beyond so many bytes, Throttled beyond all the
    space that its organization has. What a job writes is always kept.
    """
    file_id, digest, size = f"{job_id}.{name}", hashlib.sha256(), 0
    discard(engine, file_id)
    for number, piece in enumerate(pieces):
        size += len(piece)
        if limit is not None and size > limit:
            discard(engine, file_id)
            raise TooLarge(f"The file is longer than {limit} bytes. Send it in parts (mode=delta).")
        digest.update(piece)
        row = (TENANT, file_id, number, owner, job_id, name, media_type, engine.clock(), piece)
        try:
            engine.database.write(partial(_add, engine, row, owner if limit is not None else None))
        except Throttled:
            discard(engine, file_id)
            raise
    return Stored(file_id, size, digest.hexdigest())


def _add(engine: Engine, row: tuple[object, ...], limited: int | None, connection: Connection) -> None:
    if limited is not None:
        limits.require_space(engine, connection, limited, PIECE)
    batch = Batch()
    batch.add(file, *row)
    batch.flush(connection)


def pieces_of(stream: IO[bytes], length: int | None) -> Iterator[bytes]:
    """A request body in pieces; at most `length` bytes if it is known."""
    left = length
    while left is None or left > 0:
        piece = stream.read(PIECE if left is None else min(PIECE, left))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def read(connection: Connection, file_id: str) -> Iterator[bytes]:
    """The file's pieces in order."""
    number = 0
    while rows := _PIECE.rows(connection, {"id": file_id, "piece": number}):
        yield bytes(rows[0][0])
        number += 1


def local_copy(engine: Engine, file_id: str) -> IO[bytes]:
    """The file as a temporary one on disk, opened at its start, for readers that seek; gone when closed."""
    copy: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    for piece in read(engine.database.read(), file_id):
        copy.write(piece)
    copy.seek(0)
    return copy


def download(context: Context, job_id: str, name: str) -> tuple[str, Iterator[bytes]]:
    """(media type, pieces) of a file of the caller's organization; NotFound otherwise."""
    found = _HEAD.rows(context.connection, {"id": f"{job_id}.{name}", "owner": context.caller.org_hash})
    if not found:
        raise NotFound("There is no such file of yours.")
    return str(found[0][0]), read(context.engine.database.read(), f"{job_id}.{name}")


def discard(engine: Engine, file_id: str) -> None:
    """Remove a file, in a transaction of its own."""
    engine.database.write(partial(remove, file_id))


def remove(file_id: str, connection: Connection) -> None:
    """Remove a file in the transaction of this connection."""
    connection.execute(_DISCARD, {"id_": file_id})


_PIECE = Statement(select(file.c.body).where(file.c.id == bindparam("id"), file.c.piece == bindparam("piece")))
_HEAD = Statement(
    select(file.c.media_type).where(
        file.c.id == bindparam("id"), file.c.piece == 0, file.c.owner == bindparam("owner"), file.c.tenant == TENANT
    )
)
_DISCARD = delete(file).where(file.c.id == bindparam("id_"))
