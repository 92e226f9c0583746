"""One chunk of an assignment file becomes members: resources, roster rows, relations, all in one transaction.

A row whose content the roster has already writes nothing. A member named for another provider of the same plan leaves
the former roster in the same transaction, so that access moves at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.access.classes import OPEN
from fhir_server.access.relations import member_rel
from fhir_server.ecm import rosters
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.files import mapping
from fhir_server.ecm.files.assignment import Assignment, dump, row_hash
from fhir_server.engine import access_rows, keys, roster_rows, writing
from fhir_server.engine.transaction import Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import FHIRError
from fhir_server.fhir.values import parse_date
from fhir_server.store import members, resources
from fhir_server.store.hashing import rh
from fhir_server.store.ids import part_of
from fhir_server.store.members import LAST, Member
from fhir_server.store.resources import TENANT, Row

Rows = Sequence[tuple[int, Assignment, Provider]]


@dataclass(frozen=True)
class Source:
    """Where the rows come from: the file's SHA-256 and the instant it was received."""

    sha256: str
    recorded: str


@dataclass
class Enrolment:
    """What a chunk changed. rosters: provider id -> Group id; touched: Groups that have something to publish."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    rosters: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)


@dataclass
class _Chunk:
    """What is known of the chunk's members before anything is written, and what will be written."""

    transaction: Transaction
    source: Source
    result: Enrolment
    groups: dict[str, Row] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    standing: dict[tuple[int, str], Member] = field(default_factory=dict)
    elsewhere: dict[int, list[Member]] = field(default_factory=dict)
    stored: dict[int, Row] = field(default_factory=dict)
    ended: list[Member] = field(default_factory=list)
    begun: list[Member] = field(default_factory=list)


def enrol(transaction: Transaction, source: Source, rows: Rows, known: Mapping[str, str]) -> Enrolment:
    """Write the members of these rows; `known` are the rosters found by earlier chunks."""
    transaction.marks.add(rosters.IMPORTING)
    chunk = _Chunk(transaction, source, Enrolment(rosters=dict(known)))
    for provider in {provider.id: provider for _, _, provider in rows}.values():
        chunk.groups[provider.id] = _roster(chunk, provider)
    _look_up(chunk, rows)
    for number, facts, provider in rows:
        try:
            _member(chunk, number, facts, provider)
        except FHIRError as error:
            chunk.result.refused[number] = error.issues[0].diagnostics
    _write_rows(chunk)
    return chunk.result


def _roster(chunk: _Chunk, provider: Provider) -> Row:
    """The roster of the plan's contract with a provider, made if there is none."""
    transaction = chunk.transaction
    context = transaction.context
    group = rosters.new_roster(context.caller.org, provider.reference, provider.name)
    key, number = f"contract|{group['identifier'][0]['value']}", type_number("Group")
    held = keys.preload(transaction, context.caller.org_hash, number, [key])
    if key in held:
        row = resources.read(transaction.connection, context.visible("u"), "Group", held[key])
        if row is None or row.deleted:
            raise FHIRError("The roster cannot be read. The client needs system/Group.cru.")
    else:
        row = writing.insert(transaction, writing.built(context, "Group", group)).row
        keys.hold(transaction, row, key)
        access_rows.show(transaction, row, rh(provider.reference))
    chunk.result.rosters[provider.id] = row.fid
    return row


def _look_up(chunk: _Chunk, rows: Rows) -> None:
    """Read once what the chunk's rows may meet: their patients, roster rows and stored resources."""
    transaction, owner = chunk.transaction, chunk.transaction.context.caller.org_hash
    names = [_cin_key(facts) for _, facts, _ in rows]
    numbers = [f"{words.member_id(_plan_id(chunk))}|{facts.member_id}" for _, facts, _ in rows if facts.member_id]
    chunk.patients = keys.preload(transaction, owner, type_number("Patient"), [*names, *numbers])
    groups = [row.rh for row in chunk.groups.values()]
    chunk.standing = members.in_groups(transaction.connection, groups, [facts.cin for _, facts, _ in rows])
    fids = {chunk.patients[name] for name in names if name in chunk.patients}
    chunk.elsewhere = members.of_patients(transaction.connection, [rh(f"Patient/{fid}") for fid in fids])
    wanted = [f"Patient/{fid}" for fid in fids]
    wanted += [f"Coverage/{row.coverage_fid}" for found in chunk.elsewhere.values() for row in found]
    visible = transaction.context.visible_targets()
    chunk.stored = {row.rh: row for row in resources.by_hash(transaction.connection, visible, map(rh, wanted))}


def _plan_id(chunk: _Chunk) -> str:
    return chunk.transaction.context.caller.org.rpartition("/")[2]


def _cin_key(facts: Assignment) -> str:
    return f"{words.CIN}|{facts.cin}"


def _member(chunk: _Chunk, number: int, facts: Assignment, provider: Provider) -> None:
    group = chunk.groups[provider.id]
    standing, digest = chunk.standing.get((group.rh, facts.cin)), row_hash(facts)
    if standing and standing.row_hash == digest and standing.change != "dropped":
        chunk.result.unchanged += 1
        return
    patient_fid = chunk.patients.get(_cin_key(facts))
    others = [row for row in chunk.elsewhere.get(rh(f"Patient/{patient_fid}"), ()) if row.key == facts.cin]
    known = standing or next(iter(others), None)
    ids = _resources(chunk, number, facts, provider, patient_fid, known, same_team=standing is not None)
    is_new = standing is None or standing.change == "dropped"
    if standing:
        chunk.ended.append(standing)
    begun = _row(chunk, facts, provider, group, ids, "new" if is_new else "changed", digest)
    chunk.begun.append(begun)
    chunk.standing[group.rh, facts.cin] = begun
    chunk.result.touched.add(group.fid)
    chunk.result.new += is_new
    chunk.result.changed += not is_new
    _leave_others(chunk, [row for row in others if row.grp != group.rh and row.change != "dropped"])


def _resources(  # noqa: PLR0913 - what a row is and what is known of its member
    chunk: _Chunk,
    number: int,
    facts: Assignment,
    provider: Provider,
    patient_fid: str | None,
    known: Member | None,
    *,
    same_team: bool,
) -> tuple[str, str, str]:
    """Store what changed of Patient, Coverage and CareTeam, and where it comes from; their ids."""
    context, plan = chunk.transaction.context, chunk.transaction.context.caller.org
    ids = context.engine.ids
    part = part_of(patient_fid) if patient_fid else None
    patient = patient_fid or ids.fid()
    part = part_of(patient) if part is None else part
    coverage = known.coverage_fid if known else ids.fid(part)
    team = known.team_fid if known and same_team else ids.fid(part)
    reference = f"Patient/{patient}"
    written = [
        _put(chunk, "Patient", patient, mapping.patient(facts, patient, plan)),
        _put(chunk, "Coverage", coverage, mapping.coverage(facts, coverage, reference, plan, chunk.source.recorded)),
    ]
    if not (known and same_team):
        written.append(_put(chunk, "CareTeam", team, mapping.care_team(facts, team, reference, provider.reference, plan)))
    targets = [target for target in written if target]
    if targets:
        origin = mapping.provenance(
            ids.fid(part), targets, recorded=chunk.source.recorded, plan=plan, file_hash=chunk.source.sha256, row=number
        )
        _put(chunk, "Provenance", origin["id"], origin)
    chunk.patients[_cin_key(facts)] = patient
    return patient, coverage, team


def _put(chunk: _Chunk, type_: str, fid: str, resource: dict[str, Any]) -> str | None:
    """Store a resource if it is new or differs from what is stored; its reference if it was written."""
    transaction, reference = chunk.transaction, f"{type_}/{fid}"
    current = chunk.stored.get(rh(reference))
    if current is not None and _says_the_same(wire.parse(current.body), resource):
        return None
    new = writing.built(transaction.context, type_, resource)
    if current is None:
        made = writing.insert(transaction, new, fid)
    else:
        made = writing.change(transaction, current, new)
    chunk.stored[rh(reference)] = made.row
    return reference


def _says_the_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    def content(resource: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in resource.items() if name not in {"id", "meta", "text"}}

    return content(old) == content(new)


def _row(  # noqa: PLR0913 - the columns of a roster row
    chunk: _Chunk,
    facts: Assignment,
    provider: Provider,
    group: Row,
    ids: tuple[str, str, str],
    change: str,
    digest: int,
) -> Member:
    patient, coverage, team = ids
    begins, ends = _span(chunk, facts)
    return Member(
        TENANT, part_of(patient), group.rh, rh(f"Patient/{patient}"), facts.cin, patient, coverage, team,
        provider.id, change, group.ver + 1, LAST, begins, ends, digest, dump(facts),
    )  # fmt: skip


def _span(chunk: _Chunk, facts: Assignment) -> tuple[int, int]:
    """From the day of the assignment (or of its authorization, or now) to the end of the authorization."""
    zone, start = chunk.transaction.context.engine.settings.zone, facts.assignment_date or facts.authorization_start
    begins = parse_date(start, zone)[0] if start else chunk.transaction.context.now
    ends = parse_date(facts.authorization_end, zone)[1] if facts.authorization_end else OPEN
    return begins, ends


def _leave_others(chunk: _Chunk, rows: Sequence[Member]) -> None:
    """The member left these rosters of the same plan."""
    for row in rows:
        chunk.ended.append(row)
        chunk.begun.append(_dropped(chunk.transaction, row))
        chunk.result.moved += 1
        chunk.result.touched.add(_group_fid(chunk, row.grp))
        chunk.elsewhere[row.patient] = [other for other in chunk.elsewhere[row.patient] if other != row]


def _dropped(transaction: Transaction, row: Member) -> Member:
    return row._replace(change="dropped", from_version=roster_rows.next_version(transaction, row.grp), to_version=LAST,
                        ends=min(row.ends, transaction.context.now))  # fmt: skip


def _group_fid(chunk: _Chunk, group: int) -> str:
    return roster_rows.fid_of(chunk.transaction, group)


def _write_rows(chunk: _Chunk) -> None:
    roster_rows.replace(chunk.transaction, chunk.ended, chunk.begun)
    by_group: dict[int, list[Member]] = {}
    for row in chunk.begun:
        by_group.setdefault(row.grp, []).append(row)
    for group, rows in by_group.items():
        rels = [member_rel(group, row.patient, rh(f"Organization/{row.provider_fid}"), row.begins, row.ends) for row in rows]
        access_rows.set_relations(chunk.transaction, group, rels)
