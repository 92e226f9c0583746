"""What a server's answer says, in one line for a terminal.  https://hl7.org/fhir/R4/operationoutcome.html"""

from typing import Any

import requests

from fhir_server.smart.backend import ClientError


def explain(answer: requests.Response) -> str:
    """The status and the first issues of an OperationOutcome."""
    try:
        issues: list[dict[str, Any]] = answer.json().get("issue", [])
    except (ValueError, AttributeError):
        issues = []
    told = "; ".join(str(issue.get("diagnostics", issue.get("code", ""))) for issue in issues[:3])
    return f"{answer.status_code} {told or answer.reason or ''}".strip()


def require(answer: requests.Response, *statuses: int) -> requests.Response:
    """The answer, if its status is one of those; ClientError with its own words otherwise."""
    if answer.status_code not in statuses:
        path = str(answer.request.path_url).partition("?")[0]
        raise ClientError(f"{answer.request.method} {path} was answered {explain(answer)}")
    return answer
