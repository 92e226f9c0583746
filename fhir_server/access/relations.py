"""Rows of the access tables, and who stands in which relation to a patient because of which resource.

Nothing here decides whether a relation counts: that depends on who gave it, see `consequences`.
https://hl7.org/fhir/R4/coverage.html https://hl7.org/fhir/R4/careteam.html
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from fhir_server.access.classes import OPEN, START
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.values import parse_date
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]

PLAN: Final = "plan"
ASSIGNED: Final = "assigned"
CARE_TEAM: Final = "care-team"
OWNER: Final = "owner"  # not a row of `rel`: the Patient is the organization's own record
REFERRAL: Final = "referral"  # not a row of `rel`: what the law table says of a share

_MOST: Final = 200  # spans of organizations in one CareTeam

_LOCAL: Final = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")


class Rel(NamedTuple):
    """One relation of an organization to a patient. `grantor` owns the resource that gave it; it is not stored.

    stays: 1 if what was recorded while it held stays readable for the run-out; recorded: since when it is said so.
    """

    patient: int
    org: int
    kind: str
    begins: int
    ends: int
    source: int
    grantor: int | None = None
    stays: int = 0
    recorded: int = 0

    @property
    def values(self) -> tuple[Any, ...]:
        """The columns of table `rel` after tenant and part and before `recorded`, in order."""
        return (self.patient, self.org, self.kind, self.begins, self.ends, self.source, self.stays)


class RunOut(NamedTuple):
    """What was recorded in [since, before) stays readable to a former provider for a time that begins at `ended`."""

    patient: int
    org: int
    since: int
    before: int
    ended: int

    @property
    def values(self) -> tuple[Any, ...]:
        """The columns of table `runout` after tenant and part, in order."""
        return tuple(self)


@dataclass(frozen=True, slots=True)
class Directive:
    """What one provision of a Consent says to one recipient (0: anyone) about one purpose ("": any)."""

    patient: int
    recipient: int
    purpose: str
    classes: int
    effect: str
    begins: int
    ends: int
    consent: int
    ordinal: int

    @property
    def values(self) -> tuple[Any, ...]:
        """The columns of table `directive` after tenant and part and before `recorded`, in order."""
        return (
            self.patient,
            self.recipient,
            self.purpose,
            self.classes,
            self.effect,
            self.begins,
            self.ends,
            self.consent,
            self.ordinal,
        )


class AccessSpan(NamedTuple):
    """What one organization may see of a patient for a purpose ("": each of TPO) in a span of time."""

    org: int
    purpose: str
    patient: int
    mask: int
    begins: int
    ends: int

    @property
    def values(self) -> tuple[Any, ...]:
        """The columns of table `access` after tenant and part, in order."""
        return (self.org, self.purpose, self.patient, self.mask, self.begins, self.ends)


@dataclass(frozen=True, slots=True)
class Share:
    """One resource (view 0) or its contact view (view 1), shown to one organization because of a Task.

    `giver` passed it on and can give no more than it may see itself, at every instant; 0: it hangs on nobody's right.
    """

    org: int
    target: int
    view: int
    mask: int
    begins: int
    ends: int
    source: int
    giver: int = 0

    @property
    def values(self) -> tuple[Any, ...]:
        """The columns of table `share` after tenant and part and before `recorded`, in order."""
        return (self.org, self.target, self.view, self.mask, self.begins, self.ends, self.source, self.giver)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that the access to one patient follows from; `owner` is the organization whose Patient it is."""

    patient: int
    owner: int | None
    rels: Sequence[Rel] = ()
    directives: Sequence[Directive] = ()


def local(reference: Any, *types: str) -> str | None:
    """The "Type/id" of a Reference to this server (a version is left out), of one of `types` if given; else None."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    match = _LOCAL.fullmatch(text) if isinstance(text, str) else None
    if match is None or (types and match[1].partition("/")[0] not in types):
        return None
    return match[1]


def items(resource: Resource, name: str) -> Sequence[Any]:
    """The entries of a repeating element; () where it is absent."""
    found = resource.get(name)
    return found if isinstance(found, list) else ()


def span(period: Resource | None, zone: tzinfo) -> tuple[int, int]:
    """The half-open span of a Period in milliseconds; an end date counts whole, a missing end is open."""
    given = period or {}
    begins = parse_date(given["start"], zone)[0] if given.get("start") else START
    ends = parse_date(given["end"], zone)[1] if given.get("end") else OPEN
    return begins, ends


def from_coverage(resource: Resource, source: int, zone: tzinfo) -> list[Rel]:
    """Payors are plans of the beneficiary while the Coverage is in force; a cancelled one keeps its span to its end."""
    period = resource.get("period") or {}
    in_force = resource.get("status") == "active" or (resource.get("status") == "cancelled" and period.get("end"))
    patient = local(resource.get("beneficiary"), "Patient")
    if not in_force or patient is None:
        return []
    payors = {local(payor, "Organization") for payor in items(resource, "payor")}
    return _rels(patient, payors, PLAN, source, span(period, zone))


def from_care_team(
    resource: Resource, source: int, zone: tzinfo, *, by_owner: bool = True, previous: Collection[Rel] = ()
) -> list[Rel]:
    """Organizations in an active CareTeam, each within its own period.

    A member whose organization is not named (a PractitionerRole without onBehalfOf) brings nobody in. When somebody
    other than the CareTeam's owner writes it, it keeps or drops organizations that were in force but adds none:
    else a provider could name itself in the plan's team and stay after it was reassigned. BusinessRule if the
    CareTeam would make more than two hundred.
    """
    patient = local(resource.get("subject"), "Patient")
    if resource.get("status") != "active" or patient is None:
        return []
    whole = span(resource.get("period"), zone)
    spans = [(reference, whole) for reference in map(_organization, items(resource, "managingOrganization"))]
    for participant in items(resource, "participant"):
        own = span(participant.get("period"), zone)
        inner = (max(whole[0], own[0]), min(whole[1], own[1]))
        spans += [(_organization(participant.get(name)), inner) for name in ("member", "onBehalfOf")]
    found = [rel for reference, when in spans for rel in _rels(patient, {reference}, CARE_TEAM, source, when)]
    if not by_owner:
        found = [kept for rel in found for kept in _clipped_to(rel, previous)]
    longest = list(_longest(found))
    if len(longest) > _MOST:
        raise BusinessRule(f"A CareTeam may name organizations for at most {_MOST} spans; split it.", "CareTeam")
    return longest


def member_rel(group: int, patient: int, provider: int, begins: int, ends: int, *, stays: bool = True) -> Rel:
    """The relation of an assigned provider, given by the roster (its Group's hash) of which the member is a part.

    With `stays` its end is followed by a run-out; one that was opened by mistake has none.
    """
    return Rel(patient, provider, ASSIGNED, begins, ends, group, stays=int(stays))


def roster_share(group: int, provider: int, mask: int, begins: int = START, ends: int = OPEN) -> Share:
    """The share by which a roster's provider sees its Group (whose members are rendered per caller)."""
    return Share(provider, group, 0, mask, begins, ends, group)


def _organization(reference: Any) -> str | None:
    return local(reference, "Organization")


def _rels(patient: str, orgs: Collection[str | None], kind: str, source: int, when: tuple[int, int]) -> list[Rel]:
    begins, ends = when
    if ends <= begins:
        return []
    return [Rel(rh(patient), rh(org), kind, begins, ends, source) for org in sorted(filter(None, orgs))]


def _clipped_to(rel: Rel, previous: Collection[Rel]) -> Iterator[Rel]:
    for old in previous:
        begins, ends = max(rel.begins, old.begins), min(rel.ends, old.ends)
        if (old.org, old.patient, old.kind) == (rel.org, rel.patient, rel.kind) and begins < ends:
            yield Rel(rel.patient, rel.org, rel.kind, begins, ends, rel.source)


def _longest(rels: Sequence[Rel]) -> Iterator[Rel]:
    """One row for each (organization, begin), as the table's key wants: the one that ends last."""
    best: dict[tuple[int, int], Rel] = {}
    for rel in rels:
        key = (rel.org, rel.begins)
        if key not in best or best[key].ends < rel.ends:
            best[key] = rel
    yield from best.values()
