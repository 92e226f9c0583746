"""Cancelling a job.  https://hl7.org/fhir/uv/bulkdata/export.html#bulk-data-delete-request"""

from fhir_server.engine.context import Context
from fhir_server.jobs import queue
from fhir_server.rest.message import Interaction, Request, Response


def job_cancel(context: Context, request: Request) -> Response:
    """202; the job stops at its next chunk and its files are gone. 404 for another client's job."""
    queue.cancel(context, request.path[1])
    return Response(202)


INTERACTION = Interaction("job-cancel", "DELETE", "_jobs/{id}", job_cancel)
