"""One member's place in a roster: entered, moved, changed without a file; Patient and Coverage stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from fhir_server.access.classes import OPEN
from fhir_server.ecm import directory
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.facets import code_in, current, extension, extensions, identifier, local_day, telecom
from fhir_server.ecm.rosters import assignment, mapping, publishing, teams
from fhir_server.ecm.rosters.assignment import Assignment, dump, row_hash
from fhir_server.ecm.rosters.entries import shown
from fhir_server.engine import repository, roster_rows, writing
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.values import instant, parse_date
from fhir_server.store import resources
from fhir_server.store.hashing import rh
from fhir_server.store.ids import part_of
from fhir_server.store.members import LAST, Member
from fhir_server.store.resources import TENANT, Row

Resource = Mapping[str, Any]


class Given(NamedTuple):
    """Whom a member is assigned to, and the NPI that a file would name."""

    npi: str
    provider: Provider


class Authorization(NamedTuple):
    """First and last day and number of an authorization; None where they are not said."""

    start: str | None
    end: str | None
    number: str | None


def provider(context: Context, reference: str) -> Given:
    """The provider behind an Organization, by its NPI as in a file; BusinessRule if a file could not assign to it."""
    own = directory.entry(context, reference).get("identifier", [])
    npis = [str(item["value"]) for item in own if item.get("system") == words.NPI and item.get("value")]
    for npi, found in directory.providers_by_npi(context, npis).items():
        if found.id:
            return Given(npi, found)
    message = "Members are assigned to a provider whose NPI is registered in this exchange."
    raise BusinessRule(message, "Task.output")


def authorization(task: Resource) -> Authorization | None:
    """What a step says of an authorization (extension ecm-authorization); None if nothing."""
    parts = next(iter(extensions(task, words.AUTHORIZATION)), None)
    if parts is None:
        return None
    period = extension(parts, "period", "valuePeriod") or {}
    start, end = (str(period[name])[:10] if name in period else None for name in ("start", "end"))
    return Authorization(start, end, extension(parts, "number", "valueString"))


def authorized(row: Member, said: Authorization) -> Assignment:
    """The member's facts with this authorization in place of those known."""
    return _with(assignment.load(row.row), said)


def enter(
    transaction: Transaction,
    group: Row,
    patient: str,
    known: Sequence[Member],
    given: Given,
    said: Authorization | None,
) -> None:
    """Put the member into a roster as of today, with what the plan told of them before; BusinessRule without a CIN."""
    here = next((row for row in known if row.grp == group.rh), None)
    last = max(known, key=lambda row: (row.change != "dropped", row.begins), default=None)
    facts = assignment.load(last.row) if last else _facts(transaction, patient)
    if said is None and last and last.ends <= transaction.context.now:
        said = Authorization(None, None, None)  # what has ended does not come back with the assignment
    facts = _with(facts, said) if said else facts
    if here is None or here.change == "dropped":
        facts = msgspec.structs.replace(facts, assignment_date=_today(transaction))
    facts = msgspec.structs.replace(
        facts,
        provider_npi=given.npi,
        provider_name=given.provider.name,
        provider_tin=None,
        provider_phone=None,
    )
    if here is not None:
        change(transaction, group, here, facts)
        return
    fid = patient.partition("/")[2]
    coverage, team = _coverage(transaction, facts, patient, last), transaction.context.engine.ids.fid(part_of(fid))
    plan = transaction.context.caller.org
    made = mapping.care_team(facts, team, patient, given.provider.reference, plan)
    writing.insert(transaction, writing.built(transaction.context, "CareTeam", made), team)
    begins, ends = _span(transaction, facts)
    row = Member(
        TENANT, part_of(fid), group.rh, rh(patient), facts.cin, fid, coverage, team, given.provider.id,
        "new", group.ver + 1, LAST, begins, ends, row_hash(facts), dump(facts), shown(facts),
    )  # fmt: skip
    _put(transaction, [], row)


def change(transaction: Transaction, group: Row, before: Member, facts: Assignment) -> None:
    """Let the roster say this of a member whom it knows; the care team is in force again, and as long."""
    begins, ends = _span(transaction, facts)
    row = before._replace(
        change="new" if before.change == "dropped" else "changed", from_version=group.ver + 1, to_version=LAST,
        begins=begins, ends=ends, row_hash=row_hash(facts), row=dump(facts), shown=shown(facts),
    )  # fmt: skip
    _put(transaction, [before], row)
    visible = transaction.context.visible_targets()
    for team in resources.by_hash(transaction.connection, visible, [rh(f"CareTeam/{before.team_fid}")]):
        span = mapping.period(facts.assignment_date or facts.authorization_start, facts.authorization_end)
        teams.keep(transaction, team, span)


def _put(transaction: Transaction, ended: Sequence[Member], row: Member) -> None:
    roster_rows.replace(transaction, ended, [row])
    publishing.give(transaction, [row])


def _with(facts: Assignment, said: Authorization) -> Assignment:
    return msgspec.structs.replace(
        facts,
        authorization_start=said.start,
        authorization_end=said.end,
        authorization_number=said.number,
        spans=(),
    )


def _today(transaction: Transaction) -> str:
    context = transaction.context
    return local_day(context.now, context.engine.settings.zone)


def _span(transaction: Transaction, facts: Assignment) -> tuple[int, int]:
    zone, start = transaction.context.engine.settings.zone, facts.assignment_date or facts.authorization_start
    begins = parse_date(start, zone)[0] if start else transaction.context.now
    return begins, parse_date(facts.authorization_end, zone)[1] if facts.authorization_end else OPEN


def _facts(transaction: Transaction, patient: str) -> Assignment:
    """What the plan's own Patient says of a member whom no file has named; BusinessRule where a roster needs more."""
    visible, owner = transaction.context.visible_targets(), transaction.context.caller.org_hash
    rows = [row for row in resources.by_hash(transaction.connection, visible, [rh(patient)]) if row.owner == owner]
    found: Resource = orjson.loads(rows[0].body) if rows else {}
    name, home = current(found.get("name", [])), current(found.get("address", []))
    cin, family, born = identifier(found, words.CIN), name.get("family"), found.get("birthDate")
    given = next(iter(name.get("given", [])), None)
    if not (cin and family and given and born):
        message = "Only a Patient of your own, with CIN, name and birth date, is assigned. Assign the member by a file."
        raise BusinessRule(message, "Task.for")
    spoken = [code_in(one.get("language"), words.LANGUAGE) for one in found.get("communication", [])]
    return Assignment(
        cin=cin, last_name=family, first_name=given, birth_date=born, provider_npi="", gender=found.get("gender"),
        homeless=extension(found, words.HOMELESS, "valueBoolean"),
        safe_contact=extension(found, words.SAFE_CONTACT, "valueString"),
        address=", ".join(home.get("line", [])) or None, city=home.get("city"), state=home.get("state"),
        zip=home.get("postalCode"), phone=telecom("phone", found), email=telecom("email", found),
        language=next(iter(spoken), None),
        member_id=identifier(found, words.member_id(transaction.context.caller.org.rpartition("/")[2])),
    )  # fmt: skip


def _coverage(transaction: Transaction, facts: Assignment, patient: str, known: Member | None) -> str:
    """The id of the plan's Coverage of the member: the known one, one that the plan wrote, or a new one."""
    context, visible = transaction.context, transaction.context.visible_targets()
    if known and resources.by_hash(transaction.connection, visible, [rh(f"Coverage/{known.coverage_fid}")]):
        return known.coverage_fid
    criteria = [("beneficiary", patient), ("payor", context.caller.org), ("status", "active")]
    for hit in repository.lookup(context, "Coverage", criteria):
        if hit.owner == context.caller.org_hash:
            return hit.fid
    fid = context.engine.ids.fid(part_of(patient.partition("/")[2]))
    made = mapping.coverage(facts, fid, patient, context.caller.org, instant(context.now))
    writing.insert(transaction, writing.built(context, "Coverage", made), fid)
    return fid
