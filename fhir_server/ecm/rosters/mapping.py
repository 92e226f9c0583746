"""An assignment becomes resources: Patient, Coverage, CareTeam, Provenance, and the entry of a roster.

The resources are plain dictionaries because this is the inner loop of an import: all four are built and dumped in
well under 60 us, where one fhir.resources model takes hundreds. Those models are the oracle in the tests, which load
each resource built here. Ids, references and times are handed in. Profiles: profiles/ecm.

What stays in the roster row only (`assignment.dump`): the clinical and social facts, other programs, and the medical
record number, which belongs to a provider that the file does not name.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.code_lists import names
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.ecm.rosters.newborn_numbers import is_of_child

Resource = dict[str, Any]

_CIN_TYPE: Final = {"coding": [{"system": v.IDENTIFIER_TYPE, "code": "MA"}]}
_MEMBER_TYPE: Final = {"coding": [{"system": v.IDENTIFIER_TYPE, "code": "MB"}]}
_PLAN_CLASS: Final = {"coding": [{"system": v.COVERAGE_CLASS, "code": "plan"}]}
_SELF: Final = {"coding": [{"system": v.SUBSCRIBER_RELATIONSHIP, "code": "self"}]}
_PUBLIC: Final = {"coding": [{"system": v.ACT_CODE, "code": "PUBLICPOL"}], "text": "Medi-Cal managed care"}
_AUTHOR: Final = {"coding": [{"system": v.AUTHOR_TYPE, "code": "author"}]}
_TRANSMITTER: Final = {"coding": [{"system": v.TRANSMITTER_TYPE, "code": "transmitter"}]}
RESTRICTED: Final = {"url": v.INLINE_LABEL, "valueCoding": {"system": v.CONFIDENTIALITY, "code": "R"}}
_NO_ANSWER: Final = {"UNK", "ASKU"}


def body(resource: Resource) -> bytes:
    """The wire form of a resource built here."""
    return orjson.dumps(resource)


def patient(a: Assignment, patient_id: str, plan: str) -> Resource:
    """The member as ECMPatient, kept by the plan (a reference like Organization/x)."""
    resource: Resource = {
        "resourceType": "Patient",
        "id": patient_id,
        "meta": {} if is_of_child(a.cin) else {"profile": [v.PATIENT]},
        "extension": _person_extensions(a),
        "identifier": [_number(a), *_member_number(a, plan)],
        "name": [_name(a)],
        "telecom": _kept_home(_telecom(a.phone, a.email), a.safe_contact),
        "gender": a.gender or "unknown",
        "birthDate": a.birth_date,
        "address": _kept_home(_addresses(a), a.safe_contact or a.child_welfare),
        "contact": _contacts(a),
        "communication": _communication(a),
        "generalPractitioner": _practitioner(a),
        "managingOrganization": {"reference": plan},
    }
    return {name: value for name, value in resource.items() if value}


def _number(a: Assignment) -> Resource:
    if is_of_child(a.cin):
        return {"use": "temp", "system": v.NEWBORN, "value": a.cin}
    return {"type": _CIN_TYPE, "system": v.CIN, "value": a.cin}


def coverage(a: Assignment, coverage_id: str, patient_reference: str, plan: str, recorded: str) -> Resource:
    """The member's coverage by the plan, open-ended, from the first day this file tells of (else the day recorded).

    The end of an ECM authorization does not end the coverage; it stands in the roster.
    """
    known = [day for day in (a.authorization_start, a.assignment_date, a.production_date) if day]
    level = {"type": _PLAN_CLASS, "value": a.plan_code or plan.rpartition("/")[2]}
    if a.plan_name:
        level["name"] = a.plan_name
    resource: Resource = {
        "resourceType": "Coverage",
        "id": coverage_id,
        "meta": {"profile": [v.COVERAGE]},
        "extension": _coverage_extensions(a),
        "identifier": _member_number(a, plan),
        "status": "active",
        "type": _PUBLIC,
        "subscriberId": a.member_id or a.cin,
        "beneficiary": {"reference": patient_reference},
        "relationship": _SELF,
        "period": {"start": min(known, default=recorded[:10])},
        "payor": [{"reference": plan}],
        "class": [level],
    }
    return {name: value for name, value in resource.items() if value}


def care_team(a: Assignment, care_team_id: str, patient_reference: str, provider: str, plan: str) -> Resource:
    """The team as the plan knows it at assignment: provider, plan and primary care; the provider names the lead."""
    team: Resource = {
        "resourceType": "CareTeam",
        "id": care_team_id,
        "meta": {"profile": [v.CARE_TEAM]},
        "status": "active",
        "name": "Enhanced Care Management team",
        "subject": {"reference": patient_reference},
        "period": period(a.assignment_date or a.authorization_start, a.authorization_end),
        "participant": [
            _participant(v.CARE_COORDINATOR, {"reference": provider}),
            _participant(v.HEALTH_PLAN_CONTACT, {"reference": plan}),
            *[_participant(v.PRIMARY_CARE_PROVIDER, found) for found in _practitioner(a)],
        ],
        "managingOrganization": [{"reference": provider}],
    }
    return {name: value for name, value in team.items() if value}


def provenance(
    provenance_id: str,
    targets: Sequence[str],
    *,
    recorded: str,
    plan: str,
    file_hash: str,
    row: int,
    exchange: str = "",
) -> Resource:
    """Where the targets come from: the plan's file by its SHA-256 and the row in it, taken in by this exchange."""
    agents = [{"type": _AUTHOR, "who": {"reference": plan}}]
    if exchange:
        agents.append({"type": _TRANSMITTER, "who": {"reference": exchange}})
    source = {
        "extension": [{"url": v.SOURCE_ROW, "valueInteger": row}],
        "role": "source",
        "what": {"identifier": {"system": v.FILE_HASH, "value": file_hash}},
    }
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "meta": {"profile": [v.PROVENANCE]},
        "target": [{"reference": target} for target in targets],
        "recorded": recorded,
        "agent": agents,
        "entity": [source],
    }


def period(start: str | None, end: str | None) -> dict[str, str]:
    """A FHIR Period of the days that are known."""
    return {name: day for name, day in (("start", start), ("end", end)) if day}


def _person_extensions(a: Assignment) -> list[Resource]:
    found = []
    if a.race:
        found.append(_omb(v.RACE, a.race, names("race")))
    if a.ethnicity:
        found.append(_omb(v.ETHNICITY, (a.ethnicity,), names("ethnicity")))
    if a.safe_contact:
        found.append({"url": v.SAFE_CONTACT, "valueString": a.safe_contact})
    if a.homeless is not None:
        found.append({"url": v.HOMELESS, "valueBoolean": a.homeless})
    return found


def _omb(url: str, codes: Sequence[str], displays: Mapping[str, str]) -> Resource:
    """US Core race or ethnicity: OMB categories, or why there is none, and a text."""
    parts: list[Resource] = [
        {
            "url": "ombCategory",
            "valueCoding": {
                "system": v.NULL_FLAVOR if code in _NO_ANSWER else v.RACE_CODES,
                "code": code,
                "display": displays[code],
            },
        }
        for code in codes
    ]
    parts.append({"url": "text", "valueString": ", ".join(displays[code] for code in codes)})
    return {"url": url, "extension": parts}


def _coverage_extensions(a: Assignment) -> list[Resource]:
    found: list[Resource] = []
    if a.medicare_dual is not None:
        found.append({"url": v.MEDICARE_DUAL, "valueBoolean": a.medicare_dual})
    if a.renewal_date:
        found.append({"url": v.RENEWAL_DATE, "valueDate": a.renewal_date})
    return found


def _member_number(a: Assignment, plan: str) -> list[Resource]:
    if not a.member_id:
        return []
    return [{"type": _MEMBER_TYPE, "system": v.member_id(plan.rpartition("/")[2]), "value": a.member_id}]


def _name(a: Assignment) -> Resource:
    name: Resource = {"use": "official", "family": a.last_name, "given": [a.first_name]}
    if a.middle_name:
        name["given"].append(a.middle_name)
    if a.suffix:
        name["suffix"] = [a.suffix]
    return name


def _telecom(phone: str | None, email: str | None = None) -> list[Resource]:
    found = []
    if phone:
        found.append({"system": "phone", "value": phone.replace("x", " x")})
    if email:
        found.append({"system": "email", "value": email})
    return found


def _kept_home(entries: list[Resource], reason: object) -> list[Resource]:
    """The entries, marked to stay with those who may see the Patient itself if there is a reason."""
    return [{"extension": [RESTRICTED], **entry} for entry in entries] if reason else entries


def _addresses(a: Assignment) -> list[Resource]:
    county = names("county").get(a.county or "")
    home = {
        "use": "home",
        "line": [line for line in (a.address, a.address2) if line],
        "city": a.city,
        "district": county,
        "state": a.state or ("CA" if county else None),
        "postalCode": a.zip,
    }
    postal = {
        "type": "postal",
        "line": [a.mailing_address] if a.mailing_address else [],
        "city": a.mailing_city,
        "state": a.mailing_state,
        "postalCode": a.mailing_zip,
    }
    said = ({name: value for name, value in address.items() if value} for address in (home, postal))
    return [address for address in said if len(address) > 1]


def _contacts(a: Assignment) -> list[Resource]:
    contact: Resource = {
        "relationship": [{"text": a.contact_relationship}] if a.contact_relationship else [],
        "name": {"text": a.contact_name} if a.contact_name else {},
        "telecom": _kept_home(_telecom(a.contact_phone), a.safe_contact),
    }
    said = {name: value for name, value in contact.items() if value}
    return [said] if "name" in said or "telecom" in said else []


def _communication(a: Assignment) -> list[Resource]:
    spoken = a.language or a.written_language
    found = []
    if spoken:
        found.append({"language": _language(spoken), "preferred": True})
    if a.written_language and a.written_language != spoken:
        found.append({"language": _language(a.written_language)})
    return found


def _language(code: str) -> Resource:
    name = names("language").get(code, code)
    return {"coding": [{"system": v.LANGUAGE, "code": code}], "text": name}


def _practitioner(a: Assignment) -> list[Resource]:
    """The primary care provider by NPI and name; a file creates no Practitioner."""
    if not a.pcp_npi:
        return []
    found: Resource = {"type": "Practitioner", "identifier": {"system": v.NPI, "value": a.pcp_npi}}
    if a.pcp_name:
        found["display"] = a.pcp_name
    return [found]


def _participant(role: str, member: Resource) -> Resource:
    return {"role": [{"coding": [{"system": v.CARE_TEAM_ROLES, "code": role}]}], "member": member}


def authorizations(a: Assignment) -> list[Resource]:
    """An extension for each span of time that the plan has authorized."""
    spans = a.spans or ((a.authorization_start, a.authorization_end, a.authorization_number),)
    return [found for span in spans if (found := _authorized(*span))]


def _authorized(start: str | None, end: str | None, number: str | None) -> Resource | None:
    parts: list[Resource] = []
    if number:
        parts.append({"url": "number", "valueString": number})
    if span := period(start, end):
        parts.append({"url": "period", "valuePeriod": span})
    if not parts:
        return None
    authorized = {"system": v.AUTHORIZATION_DECISIONS, "code": "authorized"}
    return {"url": v.AUTHORIZATION, "extension": [*parts, {"url": "decision", "valueCoding": authorized}]}
