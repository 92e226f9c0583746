"""What is stored of a member that a file names for the first time: ids and resources, before any transaction.

Most rows of a long file are such members, and nothing of this asks the database.
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any, NamedTuple

from fhir_server.access.caller import Caller
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.rosters import mapping
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.engine import writing
from fhir_server.engine.context import Context, Engine
from fhir_server.engine.writing import Draft
from fhir_server.fhir.errors import FHIRError
from fhir_server.search.extract import IndexRows
from fhir_server.store.ids import Ids, part_of

Built = tuple[str, str, dict[str, Any]]  # type, id, resource


@dataclass(frozen=True)
class Source:
    """Where the rows come from: the file's SHA-256 and the instant it was received."""

    sha256: str
    recorded: str


class MemberIds(NamedTuple):
    """The logical ids of a member's resources."""

    patient: str
    coverage: str
    team: str


class Drafted(NamedTuple):
    """A new member's ids, drafts by id in the order in which they are stored, and the Provenance of them all."""

    ids: MemberIds
    drafts: Sequence[tuple[str, Draft]]
    origin: tuple[str, Draft]


class Asked(NamedTuple):
    """New members to be drafted, by the numbers of their rows in a file that `caller` sent."""

    caller: Caller
    source: Source
    members: Sequence[tuple[int, Assignment, Provider]]


def packed(engine: Engine, asked: Asked) -> bytes:
    """The drafts for a process of this same server: built-in types alone, which Python reads fastest."""
    found = drafted(engine, asked)
    return marshal.dumps(
        {number: (tuple(one.ids), [*map(_plain, (*one.drafts, one.origin))]) for number, one in found.items()}
    )


def _plain(one: tuple[str, Draft]) -> tuple[Any, ...]:
    fid, draft = one
    rows, generation = draft.indexed or ((), 0)
    return fid, draft.type, draft.resource, tuple(rows), generation


def unpacked(answer: bytes) -> dict[int, Drafted]:
    """The drafts by row number, with index rows; none if the answer is empty."""
    plain = marshal.loads(answer) if answer else {}  # noqa: S302 - from our own process
    return {number: _read(MemberIds(*ids), [*starmap(_draft, drafts)]) for number, (ids, drafts) in plain.items()}


def _draft(fid: str, type_: str, resource: dict[str, Any], rows: tuple[Any, ...], generation: int) -> tuple[str, Draft]:
    return fid, Draft(type_, b"", resource, (IndexRows._make(rows), generation))


def _read(ids: MemberIds, drafts: list[tuple[str, Draft]]) -> Drafted:
    return Drafted(ids, drafts[:-1], drafts[-1])


def drafted(engine: Engine, asked: Asked) -> dict[int, Drafted]:
    """The drafts by row number, checked and with their index rows; without those that some check refuses."""
    context, found = engine.context(asked.caller, "ahead"), {}
    for number, facts, provider in asked.members:
        try:
            found[number] = _drafted(context, asked.source, number, facts, provider)
        except FHIRError:
            continue  # it is built once more where it is stored, and refused there
    return found


def _drafted(context: Context, source: Source, number: int, facts: Assignment, provider: Provider) -> Drafted:
    plan, ids = context.caller.org, new_ids(context.engine.ids)
    about = resources(facts, ids, plan, source.recorded)
    about.append(team(facts, ids, plan, provider))
    drafts = [(fid, writing.ready(context, type_, resource)) for type_, fid, resource in about]
    written = [f"{type_}/{fid}" for type_, fid, _ in about]
    stated = origin(context, source, number, written)
    return Drafted(ids, drafts, (stated["id"], writing.ready(context, "Provenance", stated)))


def new_ids(ids: Ids) -> MemberIds:
    """Ids for a member of whom nothing is stored."""
    patient = ids.fid()
    part = part_of(patient)
    return MemberIds(patient, ids.fid(part), ids.fid(part))


def resources(facts: Assignment, ids: MemberIds, plan: str, recorded: str) -> list[Built]:
    """The member's Patient and Coverage."""
    coverage = mapping.coverage(facts, ids.coverage, f"Patient/{ids.patient}", plan, recorded)
    return [("Patient", ids.patient, mapping.patient(facts, ids.patient, plan)), ("Coverage", ids.coverage, coverage)]


def team(facts: Assignment, ids: MemberIds, plan: str, provider: Provider) -> Built:
    """The member's care team as it begins."""
    built = mapping.care_team(facts, ids.team, f"Patient/{ids.patient}", provider.reference, plan)
    return "CareTeam", ids.team, built


def origin(context: Context, source: Source, number: int, written: Sequence[str]) -> dict[str, Any]:
    """The Provenance of what was written of a row."""
    fid = context.engine.ids.fid(part_of(written[0].partition("/")[2]))
    return mapping.provenance(
        fid, written, recorded=source.recorded, plan=context.caller.org, file_hash=source.sha256, row=number
    )
