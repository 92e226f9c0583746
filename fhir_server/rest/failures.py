"""Any exception as the error that is answered: its own if it is one of ours, else 500 with a number and no detail."""

import structlog

from fhir_server.fhir.errors import FHIRError, Issue

log = structlog.get_logger()


def known(error: Exception, request_id: str) -> FHIRError:
    """The error to answer; what was not foreseen is logged and named by the request's number only."""
    if isinstance(error, FHIRError):
        return error
    log.error("unexpected", request=request_id, exc_info=error)
    message = f"Something went wrong on our side. Tell the operator this number: {request_id}."
    return FHIRError(issues=[Issue("exception", message, severity="fatal")])
