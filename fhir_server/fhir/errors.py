"""Every failure the server can answer, with its HTTP status and FHIR issue code.

    FHIRError
    |- Invalid 400 invalid              |- Gone 410 deleted
    |- Structure 400 structure          |- PreconditionFailed 412 conflict
    |- BadValue 400 value               |- MultipleMatches 412 multiple-matches
    |- RequiredMissing 400 required     |- PreconditionRequired 412 required
    |- InvariantBroken 400 invariant    |- TooLarge 413 too-long
    |- CodeInvalid 400 code-invalid     |- TooLongURI 414 too-long
    |- NotSupported 400 not-supported   |- UnsupportedMedia 415 not-supported
    |- TooCostly 400 too-costly         |- BusinessRule 422 business-rule
    |- Duplicate 400 duplicate          |- Unprocessable 422 processing
    |- InsecureRequest 400 security     |- LockError 503 lock-error
    |- LoginRequired 401 login          |- Unavailable 503 transient
    |- Forbidden 403 forbidden          |- NoStore 503 no-store
    |- NotFound 404 not-found           |- TimedOut 503 timeout
    |- UnknownType 404 not-supported
    |- MethodNotAllowed 405 not-supported
    |- NotAcceptable 406 not-supported
    |- Conflict 409 conflict

https://hl7.org/fhir/R4/http.html#ops and https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue: what is wrong, where (a FHIRPath expression), and how bad."""

    code: str
    diagnostics: str
    expression: str | None = None
    severity: str = "error"

    def within(self, path: str) -> "Issue":
        """The same issue with its expression below `path`, for a resource inside a Bundle."""
        tail = self.expression.partition(".")[2] if self.expression else ""
        return replace(self, expression=f"{path}.{tail}" if tail else path)


class FHIRError(Exception):
    """A failure that knows its HTTP status and FHIR issue code; `issues` holds at least one Issue."""

    status = 500
    code = "exception"

    def __init__(
        self,
        diagnostics: str = "",
        expression: str | None = None,
        *,
        issues: Sequence[Issue] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.issues = tuple(issues) or (Issue(self.code, diagnostics or self.__class__.__name__, expression),)
        self.headers = dict(headers or {})
        super().__init__(self.issues[0].diagnostics)


class Invalid(FHIRError):
    """The request cannot be understood."""

    status, code = 400, "invalid"


class Structure(FHIRError):
    """The body is not the JSON of a FHIR resource."""

    status, code = 400, "structure"


class BadValue(FHIRError):
    """A value has the wrong form."""

    status, code = 400, "value"


class RequiredMissing(FHIRError):
    """A required element or part of the request is absent."""

    status, code = 400, "required"


class InvariantBroken(FHIRError):
    """A rule of base FHIR is broken."""

    status, code = 400, "invariant"


class CodeInvalid(FHIRError):
    """A code lies outside a required binding of base FHIR."""

    status, code = 400, "code-invalid"


class NotSupported(FHIRError):
    """The request names something this server does not offer."""

    status, code = 400, "not-supported"


class TooCostly(FHIRError):
    """The request is refused because of what it would cost."""

    status, code = 400, "too-costly"


class Duplicate(FHIRError):
    """The same identity occurs twice in one request."""

    status, code = 400, "duplicate"


class InsecureRequest(FHIRError):
    """A credential travels where it can leak."""

    status, code = 400, "security"


class LoginRequired(FHIRError):
    """No valid access token; the answer carries WWW-Authenticate."""

    status, code = 401, "login"


class Forbidden(FHIRError):
    """The token does not permit this; decided before any data is read."""

    status, code = 403, "forbidden"


class NotFound(FHIRError):
    """Absent or hidden: the two are the same answer."""

    status, code = 404, "not-found"


class Unseen(NotFound):
    """As NotFound; whoever raises it has audited it."""


class UnknownType(FHIRError):
    """The URL names a resource type or operation that does not exist."""

    status, code = 404, "not-supported"


class MethodNotAllowed(FHIRError):
    """The URL exists, but not with this method."""

    status, code = 405, "not-supported"


class NotAcceptable(FHIRError):
    """None of the formats asked for is offered."""

    status, code = 406, "not-supported"


class Conflict(FHIRError):
    """Another write got in the way."""

    status, code = 409, "conflict"


class Gone(FHIRError):
    """The resource was deleted, and the caller could see it."""

    status, code = 410, "deleted"


class PreconditionFailed(FHIRError):
    """If-Match does not name the current version."""

    status, code = 412, "conflict"


class MultipleMatches(FHIRError):
    """The criteria of a conditional interaction match more than one resource."""

    status, code = 412, "multiple-matches"


class PreconditionRequired(FHIRError):
    """This resource type is updated with If-Match only."""

    status, code = 412, "required"


class TooLarge(FHIRError):
    """The body is longer than the server takes."""

    status, code = 413, "too-long"


class TooLongURI(FHIRError):
    """The URL is longer than the server takes; POST _search takes more."""

    status, code = 414, "too-long"


class UnsupportedMedia(FHIRError):
    """The body's Content-Type or Content-Encoding is not offered."""

    status, code = 415, "not-supported"


class BusinessRule(FHIRError):
    """A rule of the exchange forbids this change; nothing was written."""

    status, code = 422, "business-rule"


class Unprocessable(FHIRError):
    """The resource is valid FHIR but breaks a profile or another rule; carries the validator's issues."""

    status, code = 422, "processing"


class Throttled(FHIRError):
    """The client asks for more than its share; carries Retry-After."""

    status, code = 429, "throttled"


class LockError(FHIRError):
    """The writer could not be had in time; carries Retry-After."""

    status, code = 503, "lock-error"


class TimedOut(FHIRError):
    """The work was given up because it took too long; nothing was changed."""

    status, code = 503, "timeout"


class Unavailable(FHIRError):
    """The server is saturated or starting; carries Retry-After."""

    status, code = 503, "transient"


class NoStore(FHIRError):
    """The database or the audit trail cannot be written."""

    status, code = 503, "no-store"
