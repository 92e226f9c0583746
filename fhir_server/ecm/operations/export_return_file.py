"""Group/$export-return-file: what an ECM or Community Supports provider tells the plan about a reporting period."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from fhir_server.ecm.files import exporting, gathering_referrals, outreach, returning, withholding
from fhir_server.ecm.files.gathering import Report, parties_of
from fhir_server.ecm.files.opening import known_layouts
from fhir_server.ecm.files.withholding import Pair
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, RequiredMissing
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.store.resources import Row

_NAME = "export-return-file"
_KNOWN = ("period", "file", "format", "as-of", "plan")
_REFERRALS = "community-supports"
_FILES: Mapping[str, tuple[str, Callable[[Report], Iterator[Pair]], tuple[str, ...]]] = {
    "return": ("return-transmission", returning.rows, returning.TYPES),
    "outreach": ("outreach-tracker", outreach.rows, outreach.TYPES),
    _REFERRALS: ("community-supports-return", gathering_referrals.rows, ("Task", "ServiceRequest", "Patient")),
}


def export_return_file(context: Context, request: Request) -> Response:
    """The file; X-As-Of gives the same bytes again, X-Withheld counts what the plan may not be told.

    403 if the token lacks a type that the file is made of, 404 for a roster that is absent or hidden.
    """
    given = exporting.parameters(request, _KNOWN)
    form = exporting.chosen_format(request, given)
    name = given.get("file", "return")
    if name not in _FILES:
        raise BadValue(f"file is one of {', '.join(sorted(_FILES))}.", "file")
    layout, rows, types = _FILES[name]
    for type_ in types:
        context.require("r", type_)
    report = _report(context, request, given, name)
    told = exporting.produce(known_layouts(context)[layout], form, withholding.released(report, layout, rows(report)))
    headers = {
        "Content-Length": str(told.size),
        "X-Withheld": str(told.withheld),
        **exporting.as_of_header(report.as_of),
    }
    records.log(context, _NAME, [], f"{name} {report.period.text}")
    return exporting.attached(f"{layout}-{report.period.text}", form, exporting.sent(told), headers)


def _report(context: Context, request: Request, given: Mapping[str, str], name: str) -> Report:
    if "period" not in given:
        raise RequiredMissing("Give the reporting period: period=2025-07 or period=2025-Q3.", "period")
    period = exporting.reporting_period(context, given["period"])
    as_of = exporting.state_of_knowledge(context, given)
    if request.id:
        group = exporting.roster(context, request, _NAME)
        return _of_roster(context, records.version_at(context, group, as_of), period, as_of)
    if name != _REFERRALS:
        raise BadValue("Without a roster only file=community-supports can be made: Group/[id]/$export-return-file.")
    context.require("s", "Task")
    plan = given.get("plan", "")
    if not plan.startswith("Organization/"):
        raise RequiredMissing("Name the plan that gets the file: plan=Organization/[id].", "plan")
    return Report(context, None, plan, context.caller.org, period, as_of)


def _of_roster(context: Context, group: Row, period: Any, as_of: int) -> Report:
    plan, provider = parties_of(orjson.loads(group.body))
    return Report(context, group, plan, provider, period, as_of)


OPERATION = Operation(
    name=_NAME,
    levels=("instance", "type"),
    types=("Group",),
    handler=export_return_file,
    methods=("GET", "POST"),
    definition=f"{BASE}/OperationDefinition/Group-export-return-file",
    answers_file=True,
)
