"""Status of a job.  https://hl7.org/fhir/uv/bulkdata/export.html#bulk-data-status-request"""

from email.utils import formatdate

import orjson

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import Issue
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.fhir.values import instant
from fhir_server.jobs import queue
from fhir_server.rest.message import Interaction, Request, Response

_WAIT = {"Retry-After": "1"}


def job_status(context: Context, request: Request) -> Response:
    """202 with X-Progress while it works; 200 with the manifest when complete; the job's own failure if it failed."""
    found = queue.status(context, request.path[1])
    if found.state in {"queued", "running"}:
        return Response(202, b"", {"X-Progress": found.progress[:99], **_WAIT})
    if found.state == "failed":
        given = found.result.get("outcome")
        body = orjson.dumps(given) if given else outcome_bytes([Issue("exception", "The job failed.")])
        return Response(int(found.result.get("status", 500)), body)
    base = f"{request.base}/_jobs/{found.id}"
    output = [{**row, "url": f"{base}/{row['name']}"} for row in found.result.get("output", [])]
    manifest = {
        "transactionTime": instant(found.created),
        "request": found.arguments.get("request", ""),
        "requiresAccessToken": True,
        "output": output,
        "error": [],
        **{name: value for name, value in found.result.items() if name != "output"},
    }
    expires = formatdate(found.expires / 1000, usegmt=True)
    return Response(200, orjson.dumps(manifest), {"Content-Type": "application/json", "Expires": expires})


INTERACTION = Interaction("job-status", "GET", "_jobs/{id}", job_status)
