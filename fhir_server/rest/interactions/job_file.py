"""Files of a job.  https://hl7.org/fhir/uv/bulkdata/export.html#bulk-data-output-file-request"""

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.jobs import files, queue
from fhir_server.rest import asynchronous
from fhir_server.rest.message import Interaction, Request, Response


def job_file(context: Context, request: Request) -> Response:
    """The file, streamed, to the client that asked for the job; 404 to everybody else (row 105).

    410 for the answers of a batch if anything that was done in it is hidden from the caller by now (L9).
    """
    _, job_id, name = request.path
    found = queue.status(context, job_id)
    media_type, pieces = files.download(context, job_id, name)
    if found.kind == asynchronous.KIND:
        body = b"".join(pieces)
        if name == asynchronous.ANSWERED:
            body = asynchronous.as_fetched(context, request, job_id, found.arguments, body)
        pieces = iter([body])
    repository.note(context, "download", 200, f"{job_id}/{name}")
    headers = {"Content-Type": media_type, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(200, pieces, headers)


INTERACTION = Interaction("job-file", "GET", "_jobs/{id}/{vid}", job_file)
