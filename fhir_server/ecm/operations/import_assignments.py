"""Group/$import-assignments: a plan's assignment file in, a job's status URL out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import IO, Any

from fhir_server.ecm.files.formats import FORMATS, detect
from fhir_server.ecm.files.importing import KIND, known_layouts, open_rows
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Transaction
from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.fhir.values import instant
from fhir_server.jobs import files, queue
from fhir_server.rest.message import Operation, Request, Response

_MODES = ("full", "delta")
_DEFAULT_LAYOUT = "member-information"
_FACTS = {"plan-code": "plan_code", "production-date": "production_date", "period": "period"}
_KNOWN = {"mode", "format", "layout", "file-name", *_FACTS}


def import_assignments(context: Context, request: Request) -> Response:
    """202 with the status URL once format and header are right; 413, 415, 422 for a file that cannot be read."""
    for letter, type_ in (("c", "Group"), ("c", "Patient"), ("u", "Patient"), ("u", "Group")):
        context.require(letter, type_)
    given = _parameters(request.parameters)
    job_id = context.engine.ids.fid()
    stored, format_name = _receive(context, request, given, job_id)
    arguments = {
        "file": stored.id, "sha256": stored.sha256, "format": format_name, "mode": given.get("mode", "delta"),
        "layout": given.get("layout", _DEFAULT_LAYOUT), "recorded": instant(context.now), "facts": _facts(given),
        "request": f"{request.base}/{'/'.join(request.path)}",
    }  # fmt: skip
    try:
        with files.local_copy(context.engine, stored.id) as copy:
            open_rows(context, copy, arguments)
    except Exception:
        files.discard(context.engine, stored.id)
        raise
    context.transact(partial(_submit, job_id, arguments))
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


def _submit(job_id: str, arguments: Mapping[str, Any], transaction: Transaction) -> None:
    queue.submit(transaction, job_id, KIND, arguments)
    transaction.audit("import-kick-off", 202, [])


def _parameters(pairs: Any) -> dict[str, str]:
    given = dict(pairs)
    for name in given:
        if name not in _KNOWN:
            raise NotSupported(f"$import-assignments has no parameter {name[:64]}. It has: {', '.join(sorted(_KNOWN))}.")
    if given.get("mode", "delta") not in _MODES:
        raise BadValue("mode is full (absent members are dropped) or delta (they stay).", "mode")
    if given.get("format", "csv") not in FORMATS:
        raise BadValue(f"format is one of {', '.join(sorted(FORMATS))}.", "format")
    return given


def _facts(given: Mapping[str, str]) -> dict[str, str]:
    return {fact: given[name] for name, fact in _FACTS.items() if name in given}


def _receive(context: Context, request: Request, given: Mapping[str, str], job_id: str) -> tuple[files.Stored, str]:
    """Store the body piece by piece, after a look at its first bytes."""
    if given.get("layout", _DEFAULT_LAYOUT) not in known_layouts(context):
        raise BadValue("There is no such layout.", "layout")
    length = request.header("content-length")
    size = int(length) if length.isdecimal() else None
    pieces = files.pieces_of(_stream(request), size)
    head = next(pieces, b"")
    media_type = FORMATS[given["format"]].media_types[0] if "format" in given else request.header("content-type")
    form = detect(media_type, given.get("file-name", ""), head, size)
    limit = context.engine.settings.max_file_bytes
    whole = chain([head], pieces)
    kept = files.keep(context.engine, context.caller.org_hash, job_id, "input", form.media_types[0], whole, limit)
    repository.note(context, "upload", 202, kept.sha256)
    return kept, form.name


def _stream(request: Request) -> IO[bytes]:
    stream: IO[bytes] = request.stream
    return stream


OPERATION = Operation(
    name="import-assignments",
    levels=("type",),
    types=("Group",),
    handler=import_assignments,
    definition=f"{BASE}/OperationDefinition/Group-import-assignments",
    reads_stream=True,
)
