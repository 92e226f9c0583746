"""Any exception as the error that is answered: its own if it is one of ours, else 500 with a number and no detail."""

import sys
from collections.abc import Iterator, MutableMapping
from traceback import extract_tb
from typing import Any

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


def places_only(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A log processor: of an exception its classes and the places in the code, never its words.

    Drivers and dictionaries put the values they failed on into their messages, and those are members' data.
    """
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exception()
    if isinstance(error, BaseException):
        event["exception"] = [_described(one) for one in _chain(error)]
    return event


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _described(error: BaseException) -> dict[str, Any]:
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
    return {"class": f"{type(error).__module__}.{type(error).__qualname__}", "at": frames}
