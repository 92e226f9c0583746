"""Group/$export-return-file: what an ECM or Community Supports provider tells the plan about a reporting period.

As known now (or at an instant), or as sent: one of its numbered versions, or what that changed.
"""

from __future__ import annotations

import orjson

from fhir_server.ecm.files import exporting, rendering
from fhir_server.ecm.files.format import Format
from fhir_server.ecm.files.returns import reporting, sending
from fhir_server.ecm.files.returns.reporting import Asked
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response

_NAME = "export-return-file"
_DEFINITION = f"{BASE}/OperationDefinition/Group-export-return-file"


def export_return_file(context: Context, request: Request) -> Response:
    """The file; X-As-Of gives the same bytes again, X-Withheld counts what the plan may not be told.

    403 if the token lacks a type that the file is made of, 404 for a roster that is absent or hidden, or a version that
    was not sent.
    """
    given = arguments(context.engine.definitions, _DEFINITION, request)
    form = exporting.chosen_format(request, given)
    asked = reporting.asked(context, request, given, _NAME)
    if "number" in given:
        return _sent(asked, form, given)
    if "provider" in given or "changes" in given:
        raise BadValue("provider and changes go with number: a version that was sent.", "number")
    asked = asked.at(exporting.state_of_knowledge(context, given))
    told = exporting.produce(asked.layout, form, asked.facts())
    headers = {
        "Content-Length": str(told.size),
        "X-Withheld": str(told.withheld),
        **exporting.as_of_header(asked.report.as_of),
    }
    records.log(context, _NAME, [], f"{asked.name} {asked.report.period.text}")
    name = f"{asked.kind.layout}-{asked.report.period.text}"
    return exporting.attached(name, form, exporting.sent(told), headers)


def _sent(asked: Asked, form: Format, given: Arguments) -> Response:
    if "as-of" in given:
        raise BadValue("Give number (as sent) or as-of (as known then), not both.", "number")
    number, only_changes = int(given.one("number")), given.flag("changes")
    row, report = sending.version(asked, number), asked.report
    lines = (sending.changes if only_changes else sending.as_sent)(asked, row)
    body = b"".join(rendering.render(form, lines))
    headers = {
        "X-File-Number": str(number),
        "X-Withheld": str(orjson.loads(row.said)["withheld"]),
        **({"X-Corrects": str(number - 1)} if number > 1 else {}),
        **exporting.as_of_header(row.as_of),
    }
    records.log(report.context, _NAME, [], f"{asked.name} {report.period.text} number {number}")
    suffix = "-changes" if only_changes else ""
    return exporting.attached(f"{asked.kind.layout}-{report.period.text}-{number}{suffix}", form, body, headers)


OPERATION = Operation(
    name=_NAME,
    levels=("instance", "type"),
    types=("Group",),
    handler=export_return_file,
    methods=("GET", "POST"),
    definition=_DEFINITION,
    answers_file=True,
)
