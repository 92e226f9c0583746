"""Consents of every kind, each for a member of its own.

Elements of a Part 2 consent: 42 CFR 2.31(a), https://www.ecfr.gov/current/title-42/section-2.31
"""

from dataclasses import dataclass
from datetime import date, timedelta

from seed.clinical import planned, treated_in_unit
from seed.codes import HL7, Json, coding, concept, extension, instant, organization, patient, profile, seed_identifier
from seed.members import Member

UNIT = "county-bh-recovery"
PART2 = "http://www.ecfr.gov/current/title-42/chapter-I/subchapter-A/part-2"
SHARING = "https://www.dhcs.ca.gov/CalAIM/Pages/ASCMI-CalAIM.aspx"
PURPOSES = ("TREAT", "HPAYMT", "HOPERAT")


@dataclass(frozen=True)
class Kind:
    """One kind of consent: what it says, who is named, from and until which day of the file."""

    name: str
    effect: str = "permit"
    status: str = "active"
    labels: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    purposes: tuple[str, ...] = PURPOSES
    begins: int = -60
    ends: int | None = 305
    writer: str = "provider"  # provider | plan | unit
    policy: str = SHARING


KINDS = (
    Kind("permit-all"),
    Kind("permit-recipient", recipients=("quiet-wing-recuperative",)),
    Kind("permit-sensitive", labels=("HIV",), recipients=("tribal-health",)),
    Kind("deny-all", effect="deny", purposes=(), ends=None, writer="plan"),
    Kind("deny-class", effect="deny", labels=("HIV",), purposes=(), ends=None),
    Kind("deny-behavioral-health", effect="deny", labels=("PSY",), purposes=(), ends=None),
    Kind("deny-recipient", effect="deny", recipients=("safe-landing-sobering",), purposes=(), ends=None),
    Kind("part2-permit", labels=("ETH",), recipients=("county-bh", "plan-valley"), writer="unit", policy=PART2),
    Kind("part2-permit-community", labels=("ETH",), recipients=("keystone-housing",), writer="unit", policy=PART2),
    Kind("part2-until-event", labels=("ETH",), recipients=("county-bh",), ends=None, writer="unit", policy=PART2),
    Kind("part2-revoked", status="inactive", labels=("ETH",), recipients=("county-bh",), writer="unit", policy=PART2),
    Kind("revoked", status="inactive"),
    Kind("expired", begins=-400, ends=-30),
    Kind("future", begins=40, ends=400),
    Kind("refused", status="rejected"),
    Kind("not-yet-signed", status="proposed"),
)


def _fits(kind: Kind, member: Member) -> bool:
    """Whether a member can have this kind; a denial of everything hides, so the provider must have written nothing."""
    if kind.writer == "unit":
        return treated_in_unit(member)
    if kind.writer == "plan":
        return member.live and member.status == "assigned"
    return planned(member) and not treated_in_unit(member)


def consents(members: list[Member], as_of: date, rounds: int = 2) -> list[tuple[str, str, Json]]:
    """(writing organization, name, Consent): each kind for `rounds` members, as far as there are members that fit."""
    used: set[str] = set()
    found = []
    for turn in range(1, rounds + 1):
        for kind in KINDS:
            member = next((one for one in members if one.cin not in used and _fits(kind, one)), None)
            if member is None:
                continue
            used.add(member.cin)
            writer = {"provider": member.provider, "plan": member.plan, "unit": UNIT}[kind.writer]
            found.append((writer, f"consent-{kind.name}-{turn}", _consent(kind, turn, member, writer, as_of)))
    return found


def _consent(kind: Kind, turn: int, member: Member, writer: str, as_of: date) -> Json:
    signed = as_of + timedelta(days=min(kind.begins, -5))
    return {
        "resourceType": "Consent",
        "meta": profile("ecm-consent"),
        "identifier": seed_identifier(f"consent-{kind.name}-{turn}"),
        "status": kind.status,
        "scope": concept(f"{HL7}/consentscope", "patient-privacy"),
        "category": [concept(f"{HL7}/v3-ActCode", "IDSCL")],
        "patient": patient(member.cin),
        "dateTime": instant(signed, 14),
        "performer": [patient(member.cin)],
        "organization": [organization(writer)],
        "sourceAttachment": {
            "contentType": "application/pdf",
            "language": "en",
            "title": "Authorization to share confidential information, signed form kept by the organization",
            "creation": signed.isoformat(),
        },
        "policy": [{"uri": kind.policy}],
        "provision": _provision(kind, as_of),
    }


def _provision(kind: Kind, as_of: date) -> Json:
    period = {"start": (as_of + timedelta(days=kind.begins)).isoformat()}
    if kind.ends is not None:
        period["end"] = (as_of + timedelta(days=kind.ends)).isoformat()
    found: Json = {"type": kind.effect, "period": period}
    if kind.ends is None and kind.effect == "permit":
        found["extension"] = [extension("ecm-consent-expiration", "String", "End of treatment in the program")]
    if kind.recipients:
        role = concept(f"{HL7}/v3-ParticipationType", "IRCP")
        found["actor"] = [{"role": role, "reference": organization(one)} for one in kind.recipients]
    if kind.labels:
        found["securityLabel"] = [coding(f"{HL7}/v3-ActCode", label) for label in kind.labels]
    if kind.purposes:
        found["purpose"] = [coding(f"{HL7}/v3-ActReason", purpose) for purpose in kind.purposes]
    return found
