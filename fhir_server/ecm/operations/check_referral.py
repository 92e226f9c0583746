"""Task/$check-referral: what the directory says against a referral, before it is sent."""

from __future__ import annotations

from dataclasses import replace

import orjson

from fhir_server.ecm.referrals import services
from fhir_server.ecm.referrals.services import Finding
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, Issue
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Task-check-referral"


def check_referral(context: Context, request: Request) -> Response:
    """An OperationOutcome with a warning for all that speaks against it; 404 for a member who is absent or hidden."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    system, bar, code = str(given.one("service")).partition("|")
    if not bar:
        raise BadValue("service is written as system|code.", "service")
    patient = repository.read(context, "Patient", _id(given.one("patient"), "Patient", "patient"))
    wanted = services.need({"code": {"coding": [{"system": system, "code": code}]}}, orjson.loads(patient.body))
    wanted = replace(wanted, populations=frozenset(map(str, given.all("population"))))
    names = [f"Organization/{_id(one, 'Organization', 'organization')}" for one in given.all("organization")]
    found = [finding for name in names for finding in services.findings(context, wanted, name)]
    return Response(200, outcome_bytes([_issue(one) for one in found] or [_NOTHING]))


def _id(text: str, type_: str, name: str) -> str:
    kind, _, fid = str(text).partition("/")
    if kind != type_ or not fid:
        raise BadValue(f"{name} is written as {type_}/[id].", name)
    return fid


def _issue(finding: Finding) -> Issue:
    text = f"{finding.organization[:64]}: {finding.text}"
    if finding.blocks:
        return Issue("business-rule", text, severity="warning")
    return Issue("informational", text, severity="information")


_NOTHING = Issue("informational", "The directory says nothing against this referral.", severity="information")

OPERATION = Operation(
    name="check-referral",
    levels=("type",),
    types=("Task",),
    handler=check_referral,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
