"""Which return file is asked for: its layout and rows, between whom, about which period, as known when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fhir_server.ecm.files import exporting
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.ecm.files.opening import known_layouts
from fhir_server.ecm.files.returns import community_supports, outreach, transmission, withholding
from fhir_server.ecm.files.returns.gathering import Report, parties_of
from fhir_server.ecm.files.returns.withholding import Pair
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, RequiredMissing
from fhir_server.rest.arguments import Arguments
from fhir_server.rest.message import Request
from fhir_server.store.hashing import rh
from fhir_server.store.reports import Series

REFERRALS = "community-supports"


@dataclass(frozen=True)
class Kind:
    """A return file: its layout, what it is made of, and the fact that says whom or what a row is about."""

    layout: str
    rows: Callable[[Report], Iterator[Pair]]
    types: tuple[str, ...]
    key: str = "cin"


KINDS: Mapping[str, Kind] = {
    "return": Kind("return-transmission", transmission.rows, transmission.TYPES),
    "outreach": Kind("outreach-tracker", outreach.rows, outreach.TYPES),
    REFERRALS: Kind(
        "community-supports-return", community_supports.rows, ("Task", "ServiceRequest", "Patient"), "referral_number"
    ),
}


@dataclass(frozen=True)
class Asked:
    """One return file: its kind and its report."""

    name: str
    report: Report

    @property
    def kind(self) -> Kind:
        """What the file is made of."""
        return KINDS[self.name]

    @property
    def layout(self) -> Layout:
        """Its columns."""
        return known_layouts(self.report.context)[self.kind.layout]

    @property
    def series(self) -> Series:
        """Of which file it is a version."""
        report = self.report
        group = report.group.rh if report.group else 0
        return Series(rh(report.plan), rh(report.provider), group, self.name, report.period.text)

    def facts(self) -> Iterator[tuple[Any | None, int]]:
        """The facts to tell, each with the number of values withheld; None for a row that is withheld."""
        return withholding.released(self.report, self.kind.layout, self.kind.rows(self.report))

    def at(self, as_of: int) -> Asked:
        """The same file as known at another instant; NotFound if there was no such roster then."""
        report = replace(self.report, as_of=as_of)
        if report.group:
            report = replace(report, group=records.version_at(report.context, report.group, as_of))
        return replace(self, report=report)

    def keys(self) -> set[str]:
        """Whom or what the rows are about that the caller could be told now."""
        return {str(getattr(whole, self.kind.key) or "") for whole, _ in self.kind.rows(self.report)}


def asked(context: Context, request: Request, given: Arguments, interaction: str) -> Asked:
    """The file that a request names, as known now.

    403 if the token lacks a type that the file is made of, 404 for a roster that is absent or hidden.
    """
    name = given.one("file", "return")
    if name not in KINDS:
        raise BadValue(f"file is one of {', '.join(sorted(KINDS))}.", "file")
    for type_ in KINDS[name].types:
        context.require("r", type_)
    if "period" not in given:
        raise RequiredMissing("Give the reporting period: period=2025-07 or period=2025-Q3.", "period")
    period = exporting.reporting_period(context, given.one("period"))
    if request.id:
        group = exporting.roster(context, request, interaction)
        plan, provider = parties_of(orjson.loads(group.body))
        return Asked(name, Report(context, group, plan, provider, period, context.now))
    if name != REFERRALS:
        raise BadValue(f"Without a roster only file=community-supports can be made: Group/[id]/${interaction}.")
    context.require("s", "Task")
    return Asked(name, Report(context, None, *_parties(context, given), period, context.now))


def _parties(context: Context, given: Arguments) -> tuple[str, str]:
    """(plan, provider) of a file without a roster: the caller is the provider, or, if it names one, the plan."""
    if given.one("provider", "").startswith("Organization/"):
        return context.caller.org, given.one("provider")
    plan = given.one("plan", "")
    if not plan.startswith("Organization/"):
        raise RequiredMissing("Name the plan that gets the file: plan=Organization/[id].", "plan")
    return plan, context.caller.org
