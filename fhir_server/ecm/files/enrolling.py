"""One chunk of an assignment file becomes members: resources, roster rows, relations, all in one transaction.

A row whose content the roster has already writes nothing. A member named for another provider of the same plan leaves
the former roster in the same transaction, so that access moves at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fhir_server.access.classes import OPEN
from fhir_server.ecm import rosters
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.files import contracts, drafting, identity, mapping, publishing, teams, verified
from fhir_server.ecm.files.assignment import Assignment, dump, row_hash
from fhir_server.ecm.files.drafting import Drafted, MemberIds, Source
from fhir_server.ecm.files.judging import Refusal
from fhir_server.ecm.files.newborn_numbers import is_of_child
from fhir_server.ecm.files.publishing import RECALLING
from fhir_server.ecm.files.roster_entries import shown
from fhir_server.engine import keys, roster_rows, writing
from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Transaction
from fhir_server.engine.writing import Draft
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

_PATIENT = type_number("Patient")
_KEPT_META = ("security", "tag")  # what the plan said of its Patient in another way than by file


@dataclass
class Enrolment:
    """What a chunk changed. rosters: provider id -> Group id; touched: Groups that have something to publish.

    noted: what the sender should know of rows that were stored.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    rosters: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    refused: dict[int, Refusal] = field(default_factory=dict)
    noted: dict[int, Refusal] = field(default_factory=dict)


class _Planned(NamedTuple):
    """A resource to be stored: over `current`, or new under `fid`."""

    fid: str
    draft: Draft
    current: Row | None


@dataclass
class _Chunk:
    """What is known of the chunk's members before anything is written, and what will be written."""

    transaction: Transaction
    source: Source
    result: Enrolment
    ahead: Mapping[int, Drafted] = field(default_factory=dict)  # by row number
    groups: dict[str, Row] = field(default_factory=dict)  # by provider id
    rosters: dict[int, Row] = field(default_factory=dict)  # by hash, the former ones of these members among them
    patients: dict[str, str] = field(default_factory=dict)
    standing: dict[tuple[int, str], Member] = field(default_factory=dict)
    elsewhere: dict[int, list[Member]] = field(default_factory=dict)
    stored: dict[int, Row] = field(default_factory=dict)
    ended: list[Member] = field(default_factory=list)
    begun: list[Member] = field(default_factory=list)

    @property
    def plan(self) -> str:
        """Organization/id of the plan whose file it is."""
        return self.transaction.context.caller.org


def unknown(context: Context, rows: Rows) -> Rows:
    """Those of these rows whose members have no Patient of this plan under their number."""
    wanted = [_cin_key(facts) for _, facts, _ in rows]
    held = keys.holders(context.connection, context.caller.org_hash, _PATIENT, wanted)
    return [row for row, key in zip(rows, wanted, strict=True) if key not in held]


def enrol(
    transaction: Transaction,
    source: Source,
    rows: Rows,
    known: Mapping[str, str],
    ahead: Mapping[int, Drafted] | None = None,
) -> Enrolment:
    """Write the members of these rows; `known` are the rosters found by earlier chunks, `ahead` drafts made before."""
    transaction.marks.add(rosters.IMPORTING)
    chunk = _Chunk(transaction, source, Enrolment(rosters=dict(known)), ahead or {})
    for provider in {provider.id: provider for _, _, provider in rows}.values():
        chunk.groups[provider.id] = _roster(chunk, provider)
    for number, facts, provider, digest in _look_up(chunk, rows):
        _member(chunk, number, facts, provider, digest)
    roster_rows.replace(transaction, chunk.ended, chunk.begun)
    publishing.give(transaction, chunk.begun)
    return chunk.result


def _roster(chunk: _Chunk, provider: Provider) -> Row:
    """The roster of the plan's contract with a provider, made if there is none."""
    row = contracts.roster(chunk.transaction, chunk.plan, provider)
    chunk.result.rosters[provider.id] = row.fid
    chunk.rosters[row.rh] = row
    return row


def _look_up(chunk: _Chunk, rows: Rows) -> list[tuple[int, Assignment, Provider, int]]:
    """Read once what the rows may meet: patients, roster rows, resources. The rows that differ, with their digests."""
    transaction = chunk.transaction
    connection, owner = transaction.connection, transaction.context.caller.org_hash
    names = {key for _, facts, _ in rows for key in (_cin_key(facts), _number_key(chunk, facts)) if key}
    chunk.patients = keys.preload(transaction, owner, _PATIENT, names)
    cins = [facts.cin for _, facts, _ in rows]
    chunk.standing = members.in_groups(connection, [row.rh for row in chunk.groups.values()], cins)
    different = [(*row, digest) for row in rows if not _is_known(chunk, row[1], row[2], digest := row_hash(row[1]))]
    chunk.result.unchanged += len(rows) - len(different)
    fids = {fid for _, facts, *_ in different if (fid := _patient_of(chunk, facts))}
    chunk.elsewhere = members.of_patients(connection, [rh(f"Patient/{fid}") for fid in fids])
    former = [row for found in chunk.elsewhere.values() for row in found]
    wanted = [f"Patient/{fid}" for fid in fids]
    wanted += [f"{type_}/{fid}" for row in former for type_, fid in _others(row)]
    hashes = {*map(rh, wanted), *(row.grp for row in former)}
    found = {row.rh: row for row in resources.by_hash(connection, transaction.context.visible_targets(), hashes)}
    chunk.rosters |= {row.grp: found[row.grp] for row in former if row.grp in found and row.grp not in chunk.rosters}
    chunk.stored = found
    return different


def _patient_of(chunk: _Chunk, facts: Assignment) -> str | None:
    """The Patient with this CIN, else the one with the plan's own number, whose CIN may have changed."""
    return chunk.patients.get(_cin_key(facts)) or chunk.patients.get(_number_key(chunk, facts))


def _others(row: Member) -> Iterable[tuple[str, str]]:
    return ("Coverage", row.coverage_fid), ("CareTeam", row.team_fid)


def _is_known(chunk: _Chunk, facts: Assignment, provider: Provider, digest: int) -> bool:
    """Whether the roster says the same already, of a Patient that is still there."""
    standing = chunk.standing.get((chunk.groups[provider.id].rh, facts.cin))
    if standing is None or standing.change == "dropped" or standing.row_hash != digest:
        return False
    return chunk.patients.get(_cin_key(facts)) == standing.patient_fid


def _cin_key(facts: Assignment) -> str:
    return f"{words.NEWBORN if is_of_child(facts.cin) else words.CIN}|{facts.cin}"


def _number_key(chunk: _Chunk, facts: Assignment) -> str:
    return f"{words.member_id(chunk.plan.rpartition('/')[2])}|{facts.member_id}" if facts.member_id else ""


def _member(chunk: _Chunk, number: int, facts: Assignment, provider: Provider, digest: int) -> None:
    group = chunk.groups[provider.id]
    patient, refusal = _identified(chunk, number, facts)
    if refusal:
        chunk.result.refused[number] = refusal
        return
    mine = chunk.elsewhere.get(rh(f"Patient/{patient}"), ())
    rows = [row for row in mine if row.key == facts.cin]
    renamed = [row for row in mine if row.key != facts.cin and row.change != "dropped"]
    here = next((row for row in (*rows, *renamed) if row.grp == group.rh), None)
    known = here or next(iter((*rows, *renamed)), None)
    fresh = chunk.ahead.get(number) if patient is None and known is None else None
    try:
        ids = fresh.ids if fresh else _ids(chunk, patient, known, same_team=here is not None)
        planned = _fresh(fresh) if fresh else _planned(chunk, facts, ids, provider)
    except FHIRError as error:
        chunk.result.refused[number] = ("cin", "refused", error.issues[0].diagnostics)
        return
    if number_refused := _number_taken(chunk, facts, patient):
        chunk.result.refused[number] = number_refused
        return
    _store(chunk, number, planned, _team_kept(chunk, facts, ids), fresh.origin if fresh else None)
    chunk.patients[_cin_key(facts)] = ids.patient
    here_before = [row for row in renamed if row.grp == group.rh]
    _enter(chunk, facts, provider, ids, digest, is_renamed=bool(here_before))
    chunk.ended += here_before  # the member goes on in this roster under another number
    left = [row for row in (*rows, *renamed) if row.grp != group.rh and row.change != "dropped"]
    _leave_others(chunk, left)


def _identified(chunk: _Chunk, number: int, facts: Assignment) -> tuple[str | None, Refusal | None]:
    """(the Patient that the row is about, None for a new one; why nobody can tell)."""
    patient = chunk.patients.get(_cin_key(facts))
    if patient:
        known = chunk.stored.get(rh(f"Patient/{patient}"))
        if note := identity.conflict(known):
            chunk.result.noted[number] = note
        return patient, None if RECALLING in chunk.transaction.marks else identity.doubt(known, facts)
    holder = chunk.patients.get(_number_key(chunk, facts))
    verdict = identity.succeeds(chunk.stored.get(rh(f"Patient/{holder}")), facts) if holder else False
    if isinstance(verdict, tuple):
        return None, verdict
    return holder if verdict else None, None


def _ids(chunk: _Chunk, patient: str | None, known: Member | None, *, same_team: bool) -> MemberIds:
    """The ids of what is stored of the member, and new ones for the rest: what was deleted stays deleted."""
    new = chunk.transaction.context.engine.ids.fid
    fid = patient or new()
    part = part_of(fid)
    coverage = known.coverage_fid if known and rh(f"Coverage/{known.coverage_fid}") in chunk.stored else new(part)
    keeps_team = known and same_team and rh(f"CareTeam/{known.team_fid}") in chunk.stored
    return MemberIds(fid, coverage, known.team_fid if known and keeps_team else new(part))


def _planned(chunk: _Chunk, facts: Assignment, ids: MemberIds, provider: Provider) -> list[_Planned]:
    """What must be stored of the member, checked before any of it is: Patient, Coverage, a care team that is new."""
    built = drafting.resources(facts, ids, chunk.plan, chunk.source.recorded)
    if rh(f"CareTeam/{ids.team}") not in chunk.stored:
        built.append(drafting.team(facts, ids, chunk.plan, provider))
    day = facts.production_date or chunk.source.recorded[:10]
    planned = [_plan(chunk, *one, day) for one in built]
    return [one for one in planned if one]


def _fresh(found: Drafted) -> list[_Planned]:
    return [_Planned(fid, draft, None) for fid, draft in found.drafts]


def _plan(chunk: _Chunk, type_: str, fid: str, resource: dict[str, Any], day: str) -> _Planned | None:
    """The resource as it is to be stored by a file of this day; None if what is stored says the same."""
    current = chunk.stored.get(rh(f"{type_}/{fid}"))
    if current is not None:
        old = wire.parse(current.body)
        if type_ == "Patient":
            resource = verified.kept(current.body, old, identity.with_former(old, resource), day)
        if _content(old) == _content(resource):
            return None
        kept = {name: value for name, value in old.get("meta", {}).items() if name in _KEPT_META}
        if meta := {**resource.get("meta", {}), **kept}:
            resource = {**resource, "meta": meta}
    return _Planned(fid, writing.built(chunk.transaction.context, type_, resource), current)


def _content(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in {"id", "meta", "text"}}


def _number_taken(chunk: _Chunk, facts: Assignment, patient: str | None) -> Refusal | None:
    """Why the plan's own number for the member cannot be stored: another of its members has it."""
    key, owner = _number_key(chunk, facts), chunk.transaction.context.caller.org_hash
    holder = keys.owner_of(chunk.transaction, owner, _PATIENT, key) if key else None
    if holder in (None, patient):
        return None
    advice = "Another of your members has this Plan Member ID. Correct it, or this member's CIN."
    return "member_id", words.DUPLICATE_IDENTIFIER, advice


def _team_kept(chunk: _Chunk, facts: Assignment, ids: MemberIds) -> list[str]:
    """Keep the stored care team in step with the assignment; its reference if that was written."""
    team = chunk.stored.get(rh(f"CareTeam/{ids.team}"))
    period = mapping.period(facts.assignment_date or facts.authorization_start, facts.authorization_end)
    return [f"CareTeam/{ids.team}"] if team and teams.keep(chunk.transaction, team, period) else []


def _store(
    chunk: _Chunk, number: int, planned: Sequence[_Planned], written: list[str], origin: tuple[str, Draft] | None
) -> None:
    """Store what is planned and, of all that was written, where it comes from."""
    transaction = chunk.transaction
    for one in planned:
        if one.current is None:
            made = writing.insert(transaction, one.draft, one.fid)
        else:
            made = writing.change(transaction, one.current, one.draft)
        chunk.stored[made.row.rh] = made.row
        written = [*written, made.reference]
    if written:
        fid, draft = origin or _origin(chunk, number, written)
        writing.insert(transaction, draft, fid)


def _origin(chunk: _Chunk, number: int, written: list[str]) -> tuple[str, Draft]:
    context = chunk.transaction.context
    built = drafting.origin(context, chunk.source, number, written)
    return built["id"], writing.built(context, "Provenance", built)


def _enter(
    chunk: _Chunk, facts: Assignment, provider: Provider, ids: MemberIds, digest: int, *, is_renamed: bool
) -> None:
    """The member's row in the roster's next version, in place of the one in force."""
    group = chunk.groups[provider.id]
    standing = chunk.standing.get((group.rh, facts.cin))
    is_new = standing is None or standing.change == "dropped" or _is_unpublished(standing, group)
    is_new = is_new and not is_renamed
    begins, ends = _span(chunk, facts)
    row = Member(
        TENANT, part_of(ids.patient), group.rh, rh(f"Patient/{ids.patient}"), facts.cin, *ids, provider.id,
        "new" if is_new else "changed", group.ver + 1, LAST, begins, ends, digest, dump(facts), shown(facts),
    )  # fmt: skip
    if standing:
        chunk.ended.append(standing)
    chunk.begun.append(row)
    chunk.result.touched.add(group.fid)
    chunk.result.new += is_new
    chunk.result.changed += not is_new


def _is_unpublished(standing: Member, group: Row) -> bool:
    """Whether a member who is new has been shown to nobody yet, because an import was given up."""
    return standing.change == "new" and standing.from_version > group.ver


def _span(chunk: _Chunk, facts: Assignment) -> tuple[int, int]:
    """From the day of the assignment (or of its authorization, or now) to the end of the authorization."""
    zone, start = chunk.transaction.context.engine.settings.zone, facts.assignment_date or facts.authorization_start
    begins = parse_date(start, zone)[0] if start else chunk.transaction.context.now
    ends = parse_date(facts.authorization_end, zone)[1] if facts.authorization_end else OPEN
    return begins, ends


def _leave_others(chunk: _Chunk, rows: Sequence[Member]) -> None:
    """The member left these rosters of the same plan, and the care teams that came with them."""
    now = chunk.transaction.context.now
    for row in rows:
        former = chunk.rosters[row.grp]
        chunk.ended.append(row)
        chunk.begun.append(publishing.dropped(row, former.ver + 1, now))
        chunk.result.moved += 1
        chunk.result.touched.add(former.fid)
        team = chunk.stored.get(rh(f"CareTeam/{row.team_fid}"))
        if team:
            teams.end(chunk.transaction, team)
