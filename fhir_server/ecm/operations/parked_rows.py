"""Group/$parked-rows: the rows of the caller's assignment files that wait for a decision, with their clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fhir_server.ecm.code_lists import names
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.rosters.assignment import load
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.values import instant
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.store import loads
from fhir_server.store.loads import Parked

_DEFINITION: Final = f"{BASE}/OperationDefinition/Group-parked-rows"
_DAY: Final = 86_400_000
_HEADER: Final = (
    "File", "Row", "Code", "Message", "Waiting Since", "Decide Until", "Overdue", "CIN", "Last Name", "First Name",
    "Date of Birth", "ECM Provider NPI",
)  # fmt: skip


def parked_rows(context: Context, request: Request) -> Response:
    """200 with a CSV file, the oldest row first."""
    context.require("r", "Group")
    arguments(context.engine.definitions, _DEFINITION, request)  # there are none
    waiting = loads.waiting(context.connection, context.caller.org_hash)
    repository.note(context, "parked-rows", 200, f"{len(waiting)} rows")
    form = FORMATS["csv"]
    lines = [_HEADER, *_lines(context, waiting)]
    return Response(200, b"".join(form.write(lines)), {"Content-Type": form.media_types[0]})


def _lines(context: Context, waiting: list[Parked]) -> Iterator[tuple[str, ...]]:
    days = context.engine.settings.parked_days
    for row in waiting:
        facts, until = load(row.row), row.at + days * _DAY
        clock = instant(row.at), instant(until), "Y" if until < context.now else "N"
        person = facts.cin, facts.last_name, facts.first_name, facts.birth_date, facts.provider_npi
        yield row.load, str(row.number), row.code, names("finding").get(row.code, row.code), *clock, *person


OPERATION = Operation(
    name="parked-rows",
    levels=("type",),
    types=("Group",),
    handler=parked_rows,
    methods=("GET", "POST"),
    definition=_DEFINITION,
    answers_file=True,
)
