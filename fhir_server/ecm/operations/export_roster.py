"""Group/$export-roster: the members of a roster whom the caller may see, as a file in the assignment file's columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from itertools import groupby
from operator import attrgetter

from fhir_server.access.classes import OPEN
from fhir_server.ecm.facets import local_day
from fhir_server.ecm.files import exporting, rendering
from fhir_server.ecm.files.facts import RosterEntry
from fhir_server.ecm.files.opening import known_layouts
from fhir_server.ecm.rosters import assignment, groups
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, NotFound
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.store.members import Member
from fhir_server.store.resources import Row

_NAME = "export-roster"
_DEFINITION = f"{BASE}/OperationDefinition/Group-export-roster"
_AUDITED = 500


def export_roster(context: Context, request: Request) -> Response:
    """The file, streamed page by page; 404 for a roster that is absent or hidden, or a version that never was."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    form = exporting.chosen_format(request, given)
    layout = known_layouts(context).get(given.one("layout", "roster"))
    if layout is None:
        raise BadValue("There is no such layout.", "layout")
    row = exporting.roster(context, request, _NAME)
    version = _version(context, row, given)
    lines = rendering.roster(layout, _members(context, row, version))
    return exporting.attached(
        f"roster-{row.fid}-{version}", form, rendering.render(form, lines), {"X-Roster-Version": str(version)}
    )


def _version(context: Context, row: Row, given: Arguments) -> int:
    if "version" in given and "as-of" in given:
        raise BadValue("Give version or as-of, not both.", "version")
    if "as-of" in given:
        return records.version_at(context, row, exporting.state_of_knowledge(context, given)).ver
    wanted = int(given.one("version", row.ver))
    if wanted > row.ver:
        raise NotFound(f"The roster has no such version. The published one is {row.ver}.")
    return wanted


def _members(context: Context, row: Row, version: int) -> Iterator[tuple[Assignment, RosterEntry]]:
    """Each visible member; who was dropped is told of in the version that dropped it, and left out afterwards."""
    zone = context.engine.settings.zone
    numbered = enumerate(groups.visible_members(context, row.rh, version))
    for _, page in groupby(numbered, key=lambda pair: pair[0] // _AUDITED):
        found = [member for _, member in page if member.change != "dropped" or member.from_version == version]
        records.log(context, _NAME, [("Patient", *attrgetter("patient_fid", "patient")(one)) for one in found])
        for member in found:
            yield assignment.load(member.row), _entry(member, version, zone)


def _entry(member: Member, version: int, zone: tzinfo) -> RosterEntry:
    return RosterEntry(
        change=member.change if member.from_version == version else "nochange",
        roster_start=local_day(member.begins, zone),
        roster_end=local_day(member.ends - 1, zone) if member.ends < OPEN else None,
        roster_version=version,
    )


OPERATION = Operation(
    name=_NAME,
    levels=("instance",),
    types=("Group",),
    handler=export_roster,
    methods=("GET", "POST"),
    definition=_DEFINITION,
    answers_file=True,
)
