"""A file that comes in as the body of a request: kept piece by piece, looked at, and handed to a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import IO, Any

from fhir_server.ecm.files.format import NumberedRow
from fhir_server.ecm.files.formats import FORMATS, detect
from fhir_server.ecm.files.layouts.binding import Bound
from fhir_server.ecm.files.opening import open_rows
from fhir_server.engine import repository
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import BadValue, TooLarge
from fhir_server.fhir.values import instant
from fhir_server.jobs import files, limits, queue
from fhir_server.rest.arguments import Arguments
from fhir_server.rest.message import Request, Response


def take(
    context: Context,
    request: Request,
    kind: str,
    given: Arguments,
    own: Mapping[str, Any],
    look: Callable[[Bound, Iterator[NumberedRow]], Mapping[str, Any]] = lambda _bound, _rows: {},
) -> Response:
    """202 with the status URL of the job, once format and header are right; 400, 413, 415, 422, 429 otherwise.

    `own` are the job's own arguments; it needs `layout` and `facts` (what is known beside the file) among them. `look`
    may refuse the file by its header and first rows, or say what is to be added to the arguments.
    """
    limits.require_turn(context, context.connection)  # said before the file is awaited
    job_id = context.engine.ids.fid()
    stored, format_name = _keep(context, request, given, job_id)
    whole: dict[str, Any] = {
        "file": stored.id, "sha256": stored.sha256, "format": format_name, "recorded": instant(context.now),
        "request": f"{request.base}/{'/'.join(request.path)}", **own,
    }  # fmt: skip
    try:
        with files.local_copy(context.engine, stored.id) as copy:
            whole |= look(*open_rows(context, copy, whole))
        context.transact(partial(_submit, job_id, kind, whole))
    except Exception:
        files.discard(context.engine, stored.id)
        raise
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


def _submit(job_id: str, kind: str, arguments: Mapping[str, Any], transaction: Transaction) -> None:
    queue.submit(transaction, job_id, kind, arguments)
    transaction.audit("import-kick-off", 202, [])


def _keep(context: Context, request: Request, given: Arguments, job_id: str) -> tuple[files.Stored, str]:
    """Store the body piece by piece, after a look at its first bytes."""
    if given.one("format", "csv") not in FORMATS:
        raise BadValue(f"format is one of {', '.join(sorted(FORMATS))}.", "format")
    length = request.header("content-length")
    size = int(length) if length.isdecimal() else None
    limit = context.engine.settings.max_file_bytes
    if size is not None and size > limit:
        raise TooLarge(f"The file is longer than {limit} bytes.")  # said before a byte of it is awaited
    stream: IO[bytes] = request.stream
    pieces = files.pieces_of(stream, size)
    head = next(pieces, b"")
    named = given.one("format")
    media_type = FORMATS[named].media_types[0] if named else request.header("content-type")
    form = detect(media_type, given.one("file-name", ""), head, size)
    name, owner = form.media_types[0], context.caller.org_hash
    kept = files.keep(context.engine, owner, job_id, "input", name, chain([head], pieces), limit)
    repository.note(context, "upload", 202, kept.sha256)
    return kept, form.name
