"""What the return files are gathered from: the roster of a period, page by page, with the records of its members.

A page costs a handful of statements whatever its length. Facts are those known at `as_of`; rights are those of now.
What the receiving plan may not see is marked as hidden, so that a file discloses nothing (42 CFR Part 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson

from fhir_server.access.predicate import Visible
from fhir_server.access.relations import items, local
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, identifier, local_day, telecom
from fhir_server.ecm.files.exporting import Period
from fhir_server.ecm.rosters import assignment
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.definitions import type_names
from fhir_server.store import members
from fhir_server.store.hashing import rh
from fhir_server.store.members import Member
from fhir_server.store.resources import Row

PAGE = 500

People = dict[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Report:
    """One file asked for: of which roster version, between whom, about which period, as known when."""

    context: Context
    group: Row | None
    plan: str
    provider: str
    period: Period
    as_of: int

    @property
    def interaction(self) -> str:
        """How the audit trail names it."""
        return "export-return-file"

    @cached_property
    def produced(self) -> str:
        """The day of the state of knowledge."""
        return local_day(self.as_of, self.context.engine.settings.zone)

    @cached_property
    def receiver(self) -> Visible | None:
        """The plan's view, if somebody else than the plan asks; the plan itself sees what it sees."""
        return None if self.context.caller.org == self.plan else records.receiver(self.context, self.plan)

    @cached_property
    def parties(self) -> dict[str, Any]:
        """The facts of every row that name plan and provider."""
        known = records.by_reference(self.context, [self.plan, self.provider], self.as_of)
        plan, provider = known.get(self.plan, {}), known.get(self.provider, {})
        return {
            "plan_code": identifier(plan, v.PLAN_CODE),
            "plan_name": plan.get("name"),
            "provider_name": provider.get("name"),
            "provider_npi": identifier(provider, v.NPI),
            "provider_tin": identifier(provider, v.TIN),
        }

    @cached_property
    def provider_phone(self) -> str | None:
        """The provider's telephone number."""
        known = records.by_reference(self.context, [self.provider], self.as_of)
        return telecom("phone", known.get(self.provider, {}))


@dataclass(frozen=True)
class Entry:
    """One resource of a member's record as it was known: its type, row and content."""

    type: str
    row: Row
    resource: Resource

    @property
    def reference(self) -> str:
        """Type/id."""
        return f"{self.type}/{self.row.fid}"

    def is_of(self, organization: str, *elements: str) -> bool:
        """Whether the organization wrote it, or one of these elements names it."""
        if self.row.owner == rh(organization):
            return True
        named = [item for name in elements for item in _list(self.resource.get(name))]
        return any(local(item, "Organization") == organization for item in named)


@dataclass(frozen=True)
class Subject:
    """A member with what is known: the plan's assignment, the record, and which of it the plan may not see."""

    member: Member
    assignment: Assignment
    entries: Sequence[Entry]
    hidden: frozenset[int]

    @property
    def told(self) -> Subject:
        """The same without what is hidden from the plan."""
        return replace(self, entries=[entry for entry in self.entries if entry.row.rh not in self.hidden])

    def of(self, type_: str) -> list[Entry]:
        """The entries of one type, the newest version first."""
        found = [entry for entry in self.entries if entry.type == type_]
        return sorted(found, key=lambda entry: (-entry.row.ts, entry.row.fid))


def parties_of(group: Resource) -> tuple[str, str]:
    """(plan, provider) of a roster, as references; "" for one that is not named."""
    found = ""
    for item in items(group, "characteristic"):
        if code_in(item.get("code"), v.GROUP_CHARACTERISTICS) == v.CONTRACTED_PROVIDER:
            found = local(item.get("valueReference"), "Organization") or found
    return local(group.get("managingEntity"), "Organization") or "", found


def subjects(report: Report, types: Sequence[str]) -> Iterator[list[Subject]]:
    """The members of the period whom the caller may see, in pages, with these types of their records."""
    context, group, after = report.context, report.group, ""
    while group and (page := _page(context, group, after)):
        after = page[-1].key
        present = [found for found in page if _is_in(found, report.period)]
        if present:
            records.log(context, report.interaction, [("Patient", m.patient_fid, m.patient) for m in present])
            yield _with_records(report, present, types)


def _page(context: Context, group: Row, after: str) -> list[Member]:
    return members.seen(context.connection, context.visible("r"), group.rh, group.ver, after, PAGE)


def _is_in(found: Member, period: Period) -> bool:
    return found.begins < period.ends and found.ends > period.begins


def _with_records(report: Report, page: Sequence[Member], types: Sequence[str]) -> list[Subject]:
    rows = records.of_patients(report.context, types, [found.patient for found in page], report.as_of)
    hidden = hidden_rows(report, rows)
    by_patient: dict[int, list[Entry]] = {}
    for entry in entries(rows):
        by_patient.setdefault(entry.row.patient or 0, []).append(entry)
    return [
        Subject(found, assignment.load(found.row), mine, hidden & {entry.row.rh for entry in mine})
        for found in page
        for mine in [by_patient.get(found.patient, [])]
    ]


def entries(rows: Iterable[Row]) -> list[Entry]:
    """Rows with their content read."""
    names = type_names()
    return [Entry(names[row.type], row, orjson.loads(row.body)) for row in rows]


def hidden_rows(report: Report, rows: Sequence[Row]) -> frozenset[int]:
    """The hashes of those rows that the receiving plan may not see."""
    if report.receiver is None or not rows:
        return frozenset()
    return frozenset(records.hidden(report.context, report.receiver, rows))


def hidden_names(report: Report, references: Iterable[str]) -> frozenset[str]:
    """Those of these references that the receiving plan may not follow."""
    names = {rh(name): name for name in references}
    if report.receiver is None or not names:
        return frozenset()
    return frozenset(names[one] for one in records.unseen(report.context, report.receiver, names))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
