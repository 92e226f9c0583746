"""One member's assignment, whether a file, whatever its format and layout, or a step of the plan tells it.

Member Information File, plan to ECM provider.  https://www.dhcs.ca.gov/CalAIM/ECM (Data Guidance)
"""

from hashlib import blake2b
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec
import orjson

_OF_THE_FILE: Final = frozenset(
    {"production_date", "period", "plan_contact_name", "plan_contact_phone", "plan_contact_email"}
)


class Span(NamedTuple):
    """An authorization: first and last day, and its number; "" where it is open or not said."""

    start: str
    end: str
    number: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plan tells an ECM provider of one member. Dates are ISO, codes are ours, lists are sorted sets.

    A struct and not a dataclass: with seventy fields it is built ten times faster, and read and written as JSON.
    """

    # identity and assignment: without these a row is rejected
    cin: str
    last_name: str
    first_name: str
    birth_date: str
    provider_npi: str
    # the file
    production_date: str | None = None
    period: str | None = None
    plan_code: str | None = None
    plan_name: str | None = None
    plan_contact_name: str | None = None
    plan_contact_phone: str | None = None
    plan_contact_email: str | None = None
    # the member
    member_id: str | None = None
    medical_record: str | None = None
    middle_name: str | None = None
    suffix: str | None = None
    gender: str | None = None
    homeless: bool | None = None
    address: str | None = None
    address2: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    county: str | None = None
    mailing_address: str | None = None
    mailing_city: str | None = None
    mailing_state: str | None = None
    mailing_zip: str | None = None
    phone: str | None = None
    email: str | None = None
    safe_contact: str | None = None
    language: str | None = None
    written_language: str | None = None
    race: tuple[str, ...] = ()
    ethnicity: str | None = None
    renewal_date: str | None = None
    medicare_dual: bool | None = None
    # persons around the member
    pcp_name: str | None = None
    pcp_npi: str | None = None
    pcp_phone: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_relationship: str | None = None
    # the provider
    provider_name: str | None = None
    provider_tin: str | None = None
    provider_phone: str | None = None
    # Enhanced Care Management
    populations: tuple[str, ...] = ()
    authorization_start: str | None = None
    authorization_end: str | None = None
    authorization_number: str | None = None
    member_status: str | None = None
    assignment_date: str | None = None
    source: str | None = None
    acuity: str | None = None
    # clinical and social facts
    conditions: tuple[str, ...] = ()
    smi_sud: bool | None = None
    ed_visits: int | None = None
    inpatient_stays: int | None = None
    last_ed_date: str | None = None
    last_inpatient_date: str | None = None
    pregnant: bool | None = None
    ccs: bool | None = None
    child_welfare: bool | None = None
    sdoh_codes: tuple[str, ...] = ()
    hmis: bool | None = None
    supports_authorized: tuple[str, ...] = ()
    supports_received: tuple[str, ...] = ()
    # other programs the member is in
    programs: tuple[str, ...] = ()
    # what several rows of the member say beside each other
    spans: tuple[Span, ...] = ()
    plan_codes: tuple[str, ...] = ()


_OF_SEVERAL_ROWS: Final = ("spans", "plan_codes")
FACTS: Final = tuple(name for name in Assignment.__struct_fields__ if name not in _OF_SEVERAL_ROWS)
_COMPARED: Final = attrgetter(*(name for name in FACTS if name not in _OF_THE_FILE))


def row_hash(assignment: Assignment) -> int:
    """A signed 64-bit number that is equal for equal content, however and in whatever file it was written.

    Production date, reporting period and the plan's contact belong to the file: a later file with the same rows
    changes nothing.
    """
    content = orjson.dumps(_COMPARED(assignment))
    if assignment.spans or assignment.plan_codes:
        content += msgspec.json.encode([assignment.spans, assignment.plan_codes])
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)


def dump(assignment: Assignment) -> bytes:
    """The assignment as JSON without what it does not say: a roster keeps it beside its member."""
    return msgspec.json.encode(assignment)


def load(body: bytes) -> Assignment:
    """The assignment that was dumped; ValidationError of msgspec for anything else."""
    return msgspec.json.decode(body, type=Assignment)


def same_person(one: Assignment, other: Assignment) -> bool:
    """Whether two rows with one CIN can be about one person."""
    names = (one.last_name, one.first_name), (other.last_name, other.first_name)
    return same_names(*names, same_day=one.birth_date == other.birth_date)


def same_names(one: tuple[str, str], other: tuple[str, str], *, same_day: bool) -> bool:
    """Whether two can be one person: the day of birth and a name (last, first) agree, or both names do."""
    agree = [_folded(a) == _folded(b) for a, b in zip(one, other, strict=True)]
    return any(agree) if same_day else all(agree)


def _folded(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
