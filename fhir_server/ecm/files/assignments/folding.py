"""Several rows of one member become one assignment with several facts: populations, authorization spans, plan codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.rosters.assignment import FACTS, Assignment, Span, same_person
from fhir_server.ecm.rosters.identity import Refusal

_BESIDE: Final = frozenset({"cin", "provider_npi", "authorization_start", "authorization_end", "authorization_number",
                            "plan_code", "provider_name", "provider_phone", "provider_tin"})  # fmt: skip
_DAY: Final = timedelta(days=1)
_OPEN: Final = "9999-12-31"


@dataclass
class Gathered:
    """The rows of one member so far; `left` more rows name the member further down."""

    left: int
    provider: str = ""
    parts: list[tuple[int, Assignment]] = field(default_factory=list)

    def problem(self, facts: Assignment, provider: str) -> Refusal | None:
        """Why a row cannot stand beside those above it; None if it can."""
        if not self.parts:
            return None
        first = self.parts[0][1]
        if not same_person(first, facts):
            advice = "A row above gives this CIN to another person. A newborn is sent with a number of its own."
            return "cin", words.AMBIGUOUS_IDENTITY, advice
        if provider != self.provider:
            advice = "A row above names this member, who has one ECM Provider at a time. Keep one of the rows."
            return "cin", words.DUPLICATE_MEMBER, advice
        if any(part == facts for _, part in self.parts):
            return "cin", words.DUPLICATE_MEMBER, "A row above says the same. Keep one of the rows."
        return None

    def conflicts(self, facts: Assignment) -> list[str]:
        """The facts that a row says otherwise than the row before it; the last word counts."""
        if not self.parts:
            return []
        before = self.parts[-1][1]
        return [
            name
            for name in FACTS
            if name not in _BESIDE
            and (one := getattr(before, name)) is not None
            and (other := getattr(facts, name)) is not None
            and one != other
            and not isinstance(one, tuple)
        ]


def fold(parts: Sequence[Assignment], today: str) -> Assignment:
    """One assignment out of the rows of a member: lists are joined, of single facts the last word counts.

    The span in force is the one that lasts today, or else begins next, or else ended last; spans without a gap are one.
    """
    if len(parts) == 1:
        return parts[0]
    said: dict[str, Any] = {name: _joined([getattr(part, name) for part in parts]) for name in FACTS}
    for name in _BESIDE:  # where several are right, the order of the rows says nothing
        said[name] = min((value for part in parts if (value := getattr(part, name))), default=None)
    spans = _spans(parts)
    chosen = _in_force(_runs(spans), today)
    said |= {"authorization_start": chosen.start or None, "authorization_end": chosen.end or None}
    current = [span for span in spans if span.number and _touch(span, chosen)]
    said["authorization_number"] = current[-1].number if current else said["authorization_number"]
    codes = sorted({part.plan_code for part in parts if part.plan_code})
    said["spans"] = tuple(spans) if len(spans) > 1 else ()
    said["plan_codes"] = tuple(codes) if len(codes) > 1 else ()
    return Assignment(**said)


def _joined(values: list[object]) -> object:
    if isinstance(values[0], tuple):
        return tuple(sorted({item for value in values if isinstance(value, tuple) for item in value}))
    return next((value for value in reversed(values) if value is not None), None)


def _spans(parts: Sequence[Assignment]) -> list[Span]:
    found = {Span(p.authorization_start or "", p.authorization_end or "", p.authorization_number or "") for p in parts}
    return sorted(span for span in found if any(span)) or [Span("", "", "")]


def _runs(spans: Sequence[Span]) -> list[Span]:
    """Spans that follow each other without a day between them, made one."""
    runs: list[Span] = []
    for span in spans:
        if runs and span.start <= _day_after(runs[-1].end):
            longer = max(runs[-1].end or _OPEN, span.end or _OPEN)
            runs[-1] = Span(runs[-1].start, "" if longer == _OPEN else longer, "")
        else:
            runs.append(Span(span.start, span.end, ""))
    return runs


def _day_after(day: str) -> str:
    return (date.fromisoformat(day) + _DAY).isoformat() if day else _OPEN


def _in_force(runs: Sequence[Span], today: str) -> Span:
    return next((run for run in runs if today <= (run.end or _OPEN)), runs[-1])


def _touch(span: Span, run: Span) -> bool:
    return span.start >= run.start and (span.end or _OPEN) <= (run.end or _OPEN)
