"""Group/$changes-since: the roster with only the members whose rows changed after a version.

A provider also learns who left its roster, although it may not see that patient any more: see docs/adr/0020.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

import orjson

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files import exporting
from fhir_server.ecm.rosters import groups
from fhir_server.ecm.rosters.entries import entry
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.store import members
from fhir_server.store.resources import Row

_NAME = "changes-since"
_DEFINITION = f"{v.BASE}/OperationDefinition/Group-changes-since"
_PAGE = 500
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def changes_since(context: Context, request: Request) -> Response:
    """The Group, streamed, tagged SUBSETTED; meta.versionId is the version it leads to."""
    since = int(arguments(context.engine.definitions, _DEFINITION, request).one("version"))
    row = exporting.roster(context, request, _NAME)
    if since > row.ver:
        raise BadValue(f"version is beyond the published one, {row.ver}.", "version")
    return Response(200, _written(row, chain(_changed(context, row, since), _left(context, row, since))))


def _changed(context: Context, row: Row, since: int) -> Iterator[bytes]:
    for found in groups.visible_members(context, row.rh, row.ver, since):
        records.log(context, _NAME, [("Patient", found.patient_fid, found.patient)])
        yield entry(found, row.ver)


def _left(context: Context, row: Row, since: int) -> Iterator[bytes]:
    """Who left the caller's own roster and is hidden from it now: that it is so, and nothing else."""
    if not context.caller.clinical:
        return
    provider, after = context.caller.org.rpartition("/")[2], ""
    fetch = partial(members.left, context.connection, row.rh, provider, since, row.ver, limit=_PAGE)
    while page := fetch(after=after):
        after = page[-1].key
        shown = records.seen(context, [found.patient for found in page])
        told = [found for found in page if found.patient not in shown]
        records.log(context, _NAME, [("Patient", found.patient_fid, found.patient) for found in told])
        for found in told:
            yield _departure(found.patient_fid)


def _departure(patient: str) -> bytes:
    change = {"url": v.CHANGE_TYPE, "valueCode": "dropped"}
    return orjson.dumps({"extension": [change], "entity": {"reference": f"Patient/{patient}"}, "inactive": True})


def _written(row: Row, entries: Iterator[bytes]) -> Iterator[bytes]:
    group = orjson.loads(row.body)
    group["meta"] = {**group["meta"], "tag": [*group["meta"].get("tag", []), _SUBSETTED]}
    yield orjson.dumps(group)[:-1]
    begun = False
    for one in entries:
        yield b"," + one if begun else b',"member":[' + one
        begun = True
    yield b"]}" if begun else b"}"


OPERATION = Operation(
    name=_NAME,
    levels=("instance",),
    types=("Group",),
    handler=changes_since,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
