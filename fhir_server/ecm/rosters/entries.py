"""Group.member of a roster as JSON: what the facts of a row say is made once, when the row is stored.

Da Vinci Member Attribution 2.1 (http://hl7.org/fhir/us/davinci-atr) and the profile ecm-group.
"""

from typing import Any

import orjson

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.code_lists import names
from fhir_server.ecm.rosters import assignment
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.ecm.rosters.mapping import authorizations, period
from fhir_server.store.members import Member

_BEGINNING = (
    '{{"entity":{{"reference":"Patient/{}"}},"extension":['
    f'{{{{"url":"{v.CHANGE_TYPE}","valueCode":"{{}}"}}}},'
    f'{{{{"url":"{v.COVERAGE_REFERENCE}","valueReference":{{{{"reference":"Coverage/{{}}"}}}}}}}},'
    f'{{{{"url":"{v.ATTRIBUTED_PROVIDER}","valueReference":{{{{"reference":"Organization/{{}}"}}}}}}}}'
).format


def entry(found: Member, version: int) -> bytes:
    """One Group.member as JSON; unchanged since an earlier version it reads nochange (AT-03)."""
    change = found.change if found.from_version == version or found.change == "dropped" else "nochange"
    beginning = _BEGINNING(found.patient_fid, change, found.coverage_fid, found.provider_fid).encode()
    ending = b',"inactive":true}' if change == "dropped" else b"}"
    return beginning + (found.shown or shown(assignment.load(found.row))) + ending


def shown(facts: Assignment) -> bytes:
    """What a roster shows of a row's facts: the rest of the member's extensions, and the period."""
    said = b"".join([b"," + orjson.dumps(extension) for extension in _extensions(facts)])
    span = period(facts.authorization_start or facts.assignment_date, facts.authorization_end)
    return said + b"]" + (b',"period":' + orjson.dumps(span) if span else b"")


def _extensions(facts: Assignment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"url": v.POPULATION_OF_FOCUS, "valueCodeableConcept": {"coding": [{"system": v.POPULATIONS, "code": code}]}}
        for code in facts.populations
    ]
    found += authorizations(facts)
    if facts.acuity:
        found.append({"url": v.ACUITY, "valueString": facts.acuity})
    if facts.county:
        county = {"system": v.COUNTIES, "code": facts.county, "display": names("county")[facts.county]}
        found.append({"url": v.MEMBER_COUNTY, "valueCoding": county})
    return found
