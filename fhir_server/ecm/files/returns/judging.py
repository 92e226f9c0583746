"""What becomes of each row of a return file that comes in: parsed, its provider the roster's, its member on the roster.

The three closed-loop columns are checked against the member's ECM referral; what cannot be recorded is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import islice
from typing import Any

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource
from fhir_server.ecm.files import response
from fhir_server.ecm.files.facts import MemberFacts
from fhir_server.ecm.files.layouts.binding import Bound, Finding
from fhir_server.ecm.files.layouts.rows import RowResult
from fhir_server.ecm.files.reading import parse_facts
from fhir_server.ecm.files.returns.gathering import Entry, entries
from fhir_server.ecm.files.returns.referral import ecm_task, referral_facts
from fhir_server.ecm.referrals import loops
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.store import members
from fhir_server.store.members import Member
from fhir_server.store.resources import Row

CHUNK = 250
_FINAL = frozenset({"rejected", "completed", "failed", "cancelled", "entered-in-error"})

Result = RowResult[MemberFacts]


@dataclass
class Reading:
    """The roster a file is about, its provider, and the members named so far."""

    bound: Bound
    group: Row
    provider: str
    npi: str
    named: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Judged:
    """One row's result, and the roster row of its member if it is accepted."""

    result: Result
    member: Member | None = None


def judged(context: Context, reading: Reading, rows: Iterator[Any]) -> Iterator[list[Judged]]:
    """The rows' results in chunks."""
    parsed = (parse_facts(reading.bound, cells, number) for number, cells in rows)
    while chunk := list(islice(parsed, CHUNK)):
        cins = [result.facts.cin for result in chunk if result.facts]
        roster = members.in_groups(context.connection, [reading.group.rh], cins)
        tasks = ecm_tasks(context, reading.provider, roster.values())
        yield [_judge(context, reading, result, roster, tasks) for result in chunk]


def ecm_tasks(context: Context, provider: str, found: Any) -> dict[int, Entry]:
    """Patient -> the ECM referral to this provider that the caller itself sent."""
    rows = records.of_patients(context, ("Task", "ServiceRequest"), [one.patient for one in found])
    by_patient: dict[int, list[Entry]] = {}
    for entry in entries(rows):
        by_patient.setdefault(entry.row.patient or 0, []).append(entry)
    chosen = ((patient, ecm_task(mine, provider)) for patient, mine in by_patient.items())
    return {patient: task for patient, task in chosen if task and task.row.owner == context.caller.org_hash}


def _judge(
    context: Context, reading: Reading, result: Result, roster: dict[tuple[int, str], Member], tasks: dict[int, Entry]
) -> Judged:
    facts = result.facts
    if facts is None:
        return Judged(result)
    member = roster.get((reading.group.rh, facts.cin))
    if facts.provider_npi != reading.npi:
        advice = "This roster is another provider's. Send the row to the roster of the provider with this NPI."
        return Judged(_refused(reading.bound, result, ("provider_npi", v.UNKNOWN_PROVIDER, advice)))
    if member is None:
        advice = "This member is not on the roster. Check the CIN, or assign the member first."
        return Judged(_refused(reading.bound, result, ("cin", v.UNKNOWN_MEMBER, advice)))
    if facts.cin in reading.named:
        advice = "A row above names this member. Keep one of the rows."
        return Judged(_refused(reading.bound, result, ("cin", v.DUPLICATE_MEMBER, advice)))
    reading.named.add(facts.cin)
    problem = loop_problem(tasks.get(member.patient), facts, context.engine.settings.zone)
    return Judged(_warned(reading.bound, result, problem) if problem else result, member)


def loop_problem(task: Entry | None, facts: MemberFacts, zone: tzinfo) -> Refusal | None:
    """Why the closed-loop columns cannot be recorded; None if they can, or say what is known already."""
    if facts.referral_status is None or (task and not _differs(task.resource, facts, zone)):
        return None
    if task is None:
        advice = "You sent no ECM referral of this member to this provider: the three referral columns were left out."
        return "referral_status", v.NO_REFERRAL, advice
    known = referral_facts(task.resource, zone)
    day, known_day = facts.referral_status_date, known["referral_status_date"]
    if day and known_day and day < known_day:
        return "referral_status_date", v.OLDER_STATUS, "A later status of this referral is known: it was kept."
    reopened = known["referral_status"] == v.LOOP_CLOSED and facts.referral_status != v.LOOP_CLOSED
    if task.resource.get("status") in _FINAL or reopened:
        return "referral_status", v.REFERRAL_ENDED, "This referral has ended: send a new one for a new attempt."
    if facts.referral_status not in loops.FITTING.get(str(task.resource.get("status")), ()):
        return (
            "referral_status",
            v.UNFIT_STATUS,
            "The Task of this referral is not that far: have the provider move it.",
        )
    return None


def loop_status(task: Entry | None, facts: MemberFacts, zone: tzinfo) -> Resource | None:
    """The Task.businessStatus to record; None where nothing is to be recorded."""
    if task is None or facts.referral_status is None or loop_problem(task, facts, zone):
        return None
    closed = facts.referral_status == v.LOOP_CLOSED
    if not _differs(task.resource, facts, zone) or (closed and not facts.closure_reason):
        return None
    codings = [{"system": v.REFERRAL_STATUSES, "code": facts.referral_status}]
    if closed:
        codings.append({"system": v.CLOSURE_REASONS, "code": str(facts.closure_reason)})
    day = facts.referral_status_date
    dated = {"extension": [{"url": v.REFERRAL_STATUS_DATE, "valueDateTime": day}]} if day else {}
    return {**dated, "coding": codings}


def _differs(task: Resource, facts: MemberFacts, zone: tzinfo) -> bool:
    """Whether the columns say something else than what is recorded; a blank one says nothing."""
    known = referral_facts(task, zone)
    return any(known[name] != value for name in known if (value := getattr(facts, name)))


def _refused(bound: Bound, result: Result, problem: Refusal) -> Result:
    return response.with_finding(result, _finding(bound, result, problem, "error"), v.REJECTED)


def _warned(bound: Bound, result: Result, problem: Refusal) -> Result:
    return response.with_finding(result, _finding(bound, result, problem, "warning"), v.ACCEPTED_WITH_WARNINGS)


def _finding(bound: Bound, result: Result, problem: Refusal, severity: str) -> Finding:
    fact, code, advice = problem
    header = next((column.header for column in bound.layout.columns if column.maps_to == fact), fact)
    return Finding(result.number, header, code, advice, severity)


def accepted(chunk: Sequence[Judged]) -> list[tuple[int, MemberFacts, Member]]:
    """(row number, facts, roster row) of the rows to record."""
    return [(one.result.number, one.result.facts, one.member) for one in chunk if one.result.facts and one.member]
