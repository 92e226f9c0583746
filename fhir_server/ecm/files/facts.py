"""What the return, outreach and Community Supports files say of a member, an attempt, a referral: plain facts.

The export gathers them, `rendering` writes them; out of a file that comes in `reading` makes the same. Dates are ISO,
codes are ours, lists are sorted sets; None is not known or not to be said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """One row of the Return Transmission File: a member as the ECM provider knows it in the period."""

    cin: str
    last_name: str
    first_name: str
    provider_npi: str
    plan_code: str | None = None
    plan_name: str | None = None
    medical_record: str | None = None
    age_group: str | None = None
    new_address: bool | None = None
    homeless: bool | None = None
    address: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    new_phone: bool | None = None
    phone: str | None = None
    language: str | None = None
    written_language: str | None = None
    medicare_dual: bool | None = None
    in_population: bool | None = None
    populations: tuple[str, ...] = ()
    status: str | None = None
    acuity: str | None = None
    benefit_start: str | None = None
    benefit_end: str | None = None
    authorization_number: str | None = None
    reauthorization: bool | None = None
    care_plan_date: str | None = None
    care_conference_date: str | None = None
    assessment_started: str | None = None
    assessment_completed: str | None = None
    last_encounter: str | None = None
    in_person: int | None = None
    telephonic: int | None = None
    lead_name: str | None = None
    lead_phone: str | None = None
    lead_email: str | None = None
    discontinuation_date: str | None = None
    discontinuation_code: str | None = None
    discontinuation_reason: str | None = None
    housed: bool | None = None
    housing_type: str | None = None
    housed_date: str | None = None
    referral_status: str | None = None
    referral_status_date: str | None = None
    closure_reason: str | None = None
    production_date: str | None = None
    period: str | None = None
    provider_name: str | None = None
    provider_tin: str | None = None
    provider_phone: str | None = None
    provider_type: str | None = None


@dataclass(frozen=True, slots=True)
class OutreachAttempt:
    """One row of the Outreach Tracker: one attempt to reach one member."""

    cin: str
    date: str
    provider_npi: str | None = None
    member_name: str | None = None
    method: str | None = None
    successful: bool | None = None
    minutes: int | None = None
    staff_kind: str | None = None
    contact_reason: str | None = None
    contact_outcome: str | None = None
    plan_code: str | None = None
    plan_name: str | None = None
    provider_name: str | None = None
    provider_tin: str | None = None


@dataclass(frozen=True, slots=True)
class ReferralFacts:
    """One row of a Community Supports provider's return file: one referral."""

    cin: str
    last_name: str
    first_name: str
    service: str
    birth_date: str | None = None
    referral_number: str | None = None
    authorization_number: str | None = None
    referral_date: str | None = None
    service_start: str | None = None
    service_end: str | None = None
    referral_status: str | None = None
    referral_status_date: str | None = None
    closure_reason: str | None = None
    production_date: str | None = None
    period: str | None = None
    plan_code: str | None = None
    plan_name: str | None = None
    provider_name: str | None = None
    provider_npi: str | None = None
    provider_tin: str | None = None
    provider_phone: str | None = None


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """What a roster adds to a member's assignment: how it changed, since when, until when, in which version."""

    change: str | None = None
    roster_start: str | None = None
    roster_end: str | None = None
    roster_version: int | None = None


# What a row is read into, by the id of its layout.
KINDS: Final[Mapping[str, Callable[..., Any]]] = {
    "return-transmission": MemberFacts,
    "outreach-tracker": OutreachAttempt,
    "community-supports-return": ReferralFacts,
}
