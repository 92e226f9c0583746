"""Errors as OperationOutcome.  https://hl7.org/fhir/R4/operationoutcome.html"""

from collections.abc import Iterable
from typing import Any

import orjson

from fhir_server.fhir.errors import Issue


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """An OperationOutcome with these issues, at most 50."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in list(issues)[:50]]}


def outcome_bytes(issues: Iterable[Issue]) -> bytes:
    """The JSON of `outcome`."""
    return orjson.dumps(outcome(issues))


def _issue(issue: Issue) -> dict[str, Any]:
    row: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.diagnostics}
    if issue.expression:
        row["expression"] = [issue.expression]
    return row
