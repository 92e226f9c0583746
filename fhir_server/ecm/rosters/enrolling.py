"""One chunk of an assignment file becomes members: resources, roster rows, relations, all in one transaction.

A row whose content the roster has already writes nothing. A member named for another provider of the same plan leaves
the former roster in the same transaction, so that access moves at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fhir_server.access.classes import OPEN
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.rosters import contracts, drafting, groups, identity, mapping, publishing, teams, verified
from fhir_server.ecm.rosters.assignment import Assignment, dump
from fhir_server.ecm.rosters.drafting import Drafted, MemberIds, Source
from fhir_server.ecm.rosters.entries import shown
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.ecm.rosters.known import PATIENT, Enrolment, Known, Rows, cin_key, look_up, number_key
from fhir_server.ecm.rosters.publishing import RECALLING
from fhir_server.engine import keys, roster_rows, writing
from fhir_server.engine.context import Transaction
from fhir_server.engine.writing import Draft
from fhir_server.fhir import wire
from fhir_server.fhir.errors import FHIRError
from fhir_server.fhir.values import parse_date
from fhir_server.store.hashing import rh
from fhir_server.store.ids import part_of
from fhir_server.store.members import LAST, Member
from fhir_server.store.resources import TENANT, Row

_KEPT_META = ("security", "tag")  # what the plan said of its Patient in another way than by file


class _Planned(NamedTuple):
    """A resource to be stored: over `current`, or new under `fid`."""

    fid: str
    draft: Draft
    current: Row | None


def enrol(
    transaction: Transaction,
    source: Source,
    rows: Rows,
    known: Mapping[str, str],
    ahead: Mapping[int, Drafted] | None = None,
) -> Enrolment:
    """Write the members of these rows; `known` are the rosters found by earlier chunks, `ahead` drafts made before."""
    transaction.marks.add(groups.IMPORTING)
    chunk = Known(transaction, source, Enrolment(rosters=dict(known)), ahead or {})
    for provider in {provider.id: provider for _, _, provider in rows}.values():
        chunk.groups[provider.id] = _roster(chunk, provider)
    for number, facts, provider, digest in look_up(chunk, rows):
        _member(chunk, number, facts, provider, digest)
    roster_rows.replace(transaction, chunk.ended, chunk.begun)
    publishing.give(transaction, chunk.begun)
    return chunk.result


def _roster(chunk: Known, provider: Provider) -> Row:
    """The roster of the plan's contract with a provider, made if there is none."""
    row = contracts.roster(chunk.transaction, chunk.plan, provider)
    chunk.result.rosters[provider.id] = row.fid
    chunk.rosters[row.rh] = row
    return row


def _member(chunk: Known, number: int, facts: Assignment, provider: Provider, digest: int) -> None:
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
    chunk.patients[cin_key(facts)] = ids.patient
    here_before = [row for row in renamed if row.grp == group.rh]
    _enter(chunk, facts, provider, ids, digest, is_renamed=bool(here_before))
    chunk.ended += here_before  # the member goes on in this roster under another number
    left = [row for row in (*rows, *renamed) if row.grp != group.rh and row.change != "dropped"]
    _leave_others(chunk, left)


def _identified(chunk: Known, number: int, facts: Assignment) -> tuple[str | None, Refusal | None]:
    """(the Patient that the row is about, None for a new one; why nobody can tell)."""
    patient = chunk.patients.get(cin_key(facts))
    if patient:
        known = chunk.stored.get(rh(f"Patient/{patient}"))
        if note := identity.conflict(known):
            chunk.result.noted[number] = note
        return patient, None if RECALLING in chunk.transaction.marks else identity.doubt(known, facts)
    holder = chunk.patients.get(number_key(chunk, facts))
    verdict = identity.succeeds(chunk.stored.get(rh(f"Patient/{holder}")), facts) if holder else False
    if isinstance(verdict, tuple):
        return None, verdict
    return holder if verdict else None, None


def _ids(chunk: Known, patient: str | None, known: Member | None, *, same_team: bool) -> MemberIds:
    """The ids of what is stored of the member, and new ones for the rest: what was deleted stays deleted."""
    new = chunk.transaction.context.engine.ids.fid
    fid = patient or new()
    part = part_of(fid)
    coverage = known.coverage_fid if known and rh(f"Coverage/{known.coverage_fid}") in chunk.stored else new(part)
    keeps_team = known and same_team and rh(f"CareTeam/{known.team_fid}") in chunk.stored
    return MemberIds(fid, coverage, known.team_fid if known and keeps_team else new(part))


def _planned(chunk: Known, facts: Assignment, ids: MemberIds, provider: Provider) -> list[_Planned]:
    """What must be stored of the member, checked before any of it is: Patient, Coverage, a care team that is new."""
    built = drafting.resources(facts, ids, chunk.plan, chunk.source.recorded)
    if rh(f"CareTeam/{ids.team}") not in chunk.stored:
        built.append(drafting.team(facts, ids, chunk.plan, provider))
    day = facts.production_date or chunk.source.recorded[:10]
    planned = [_plan(chunk, *one, day) for one in built]
    return [one for one in planned if one]


def _fresh(found: Drafted) -> list[_Planned]:
    return [_Planned(fid, draft, None) for fid, draft in found.drafts]


def _plan(chunk: Known, type_: str, fid: str, resource: dict[str, Any], day: str) -> _Planned | None:
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


def _number_taken(chunk: Known, facts: Assignment, patient: str | None) -> Refusal | None:
    """Why the plan's own number for the member cannot be stored: another of its members has it."""
    key, owner = number_key(chunk, facts), chunk.transaction.context.caller.org_hash
    holder = keys.owner_of(chunk.transaction, owner, PATIENT, key) if key else None
    if holder in (None, patient):
        return None
    advice = "Another of your members has this Plan Member ID. Correct it, or this member's CIN."
    return "member_id", words.DUPLICATE_IDENTIFIER, advice


def _team_kept(chunk: Known, facts: Assignment, ids: MemberIds) -> list[str]:
    """Keep the stored care team in step with the assignment; its reference if that was written."""
    team = chunk.stored.get(rh(f"CareTeam/{ids.team}"))
    period = mapping.period(facts.assignment_date or facts.authorization_start, facts.authorization_end)
    return [f"CareTeam/{ids.team}"] if team and teams.keep(chunk.transaction, team, period) else []


def _store(
    chunk: Known, number: int, planned: Sequence[_Planned], written: list[str], origin: tuple[str, Draft] | None
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


def _origin(chunk: Known, number: int, written: list[str]) -> tuple[str, Draft]:
    context = chunk.transaction.context
    built = drafting.origin(context, chunk.source, number, written)
    return built["id"], writing.built(context, "Provenance", built)


def _enter(
    chunk: Known, facts: Assignment, provider: Provider, ids: MemberIds, digest: int, *, is_renamed: bool
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


def _span(chunk: Known, facts: Assignment) -> tuple[int, int]:
    """From the day of the assignment (or of its authorization, or now) to the end of the authorization."""
    zone, start = chunk.transaction.context.engine.settings.zone, facts.assignment_date or facts.authorization_start
    begins = parse_date(start, zone)[0] if start else chunk.transaction.context.now
    ends = parse_date(facts.authorization_end, zone)[1] if facts.authorization_end else OPEN
    return begins, ends


def _leave_others(chunk: Known, rows: Sequence[Member]) -> None:
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
