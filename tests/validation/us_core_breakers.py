"""How to break each of US Core's own invariants.  https://hl7.org/fhir/us/core/ (the constraints of its profiles)"""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Breaker = Callable[[Json], bool]

_NPI = "http://hl7.org/fhir/sid/us-npi"
_CLIA = "urn:oid:2.16.840.1.113883.4.7"
_NAIC = "urn:oid:2.16.840.1.113883.6.300"
_UCUM = "http://unitsofmeasure.org"


def _drop(*stems: str, **values: Any) -> Breaker:
    """Leaves out what begins with one of the stems, and sets the values."""

    def edit(one: Json) -> bool:
        found = [key for key in one if key.lstrip("_").startswith(stems)]
        for key in found:
            one.pop(key)
        one.update(values)
        return bool(found or values)

    return edit


def _year(one: Json) -> bool:
    one.update({"effectiveDateTime": "2020"} if "effectiveDateTime" in one else {})
    return "effectiveDateTime" in one


def _foreign_unit(one: Json) -> bool:
    value = one.get("valueQuantity", {})
    value.update({"system": "urn:units", "code": "x"} if value.get("system") == _UCUM else {})
    return value.get("system") == "urn:units"


def _nameless(one: Json) -> bool:
    for name in one.get("name", ())[:1]:
        _drop("family", "given", "extension", use="usual")(name)
    return bool(one.get("name"))


def _no_content(one: Json) -> bool:
    for content in one.get("content", ()):
        _drop("url", "data", title="x")(content.get("attachment", {}))
    return bool(one.get("content"))


def _number(system: str, value: str) -> Breaker:
    def edit(one: Json) -> bool:
        found = [identifier for identifier in one.get("identifier", ()) if identifier.get("system") == system]
        for identifier in found:
            identifier["value"] = value
        return bool(found)

    return edit


def _no_onbehalf(one: Json) -> bool:
    agents = [agent for agent in one.get("agent", ()) if "/" in str(agent.get("who", {}).get("reference"))]
    for agent in agents[:1]:
        agent["who"] = {"reference": "Practitioner/1"}
        agent.pop("onBehalfOf", None)
    return bool(agents)


def _bare_component(one: Json) -> bool:
    for component in one.get("component", ())[:1]:
        _drop("value", "dataAbsentReason")(component)
    return bool(one.get("component"))


def _smoking_text(one: Json) -> bool:
    codes = [coding.get("code") for coding in one.get("code", {}).get("coding", ())]
    if not {"72166-2", "11367-0"} & set(codes):
        return False
    return _drop("value", valueQuantity={"value": 1, "unit": "x", "system": _UCUM, "code": "1"})(one)


_FINAL = {"status": "final"}
BREAKERS: tuple[tuple[str, str, Breaker], ...] = (
    ("us-core-1", "Observation", _year),
    ("us-core-2", "Observation", _drop("value", "dataAbsentReason", "component", "hasMember")),
    ("us-core-3", "Observation", _foreign_unit),
    ("us-core-6", "Patient", _nameless),
    ("us-core-6", "DocumentReference", _no_content),
    ("us-core-7", "Procedure", _drop("performed", status="completed")),
    ("us-core-8", "DiagnosticReport", _drop("effective", **_FINAL)),
    ("us-core-9", "DiagnosticReport", _drop("issued", **_FINAL)),
    ("us-core-10", "DiagnosticReport", _drop("effective", **_FINAL)),
    ("us-core-13", "PractitionerRole", _drop("practitioner", "organization", "healthcareService", "location")),
    ("pd-1", "PractitionerRole", _drop("telecom", "endpoint")),
    ("us-core-14", "RelatedPerson", _drop("name", "relationship")),
    ("us-core-15", "Coverage", _drop("identifier", "subscriberId")),
    ("us-core-16", "Practitioner", _number(_NPI, "123")),
    ("us-core-17", "Practitioner", _number(_NPI, "1234567890")),
    ("us-core-16", "Organization", _number(_NPI, "123")),
    ("us-core-17", "Organization", _number(_NPI, "1234567890")),
    ("us-core-18", "Organization", _number(_CLIA, "x")),
    ("us-core-19", "Organization", _number(_NAIC, "x")),
    ("us-core-20", "MedicationDispense", _drop("whenHandedOver", status="completed")),
    ("us-core-21", "MedicationRequest", _drop("requester", intent="order")),
    ("us-core-24", "Observation", _smoking_text),
    ("us-core-26", "Observation", _bare_component),
    ("provenance-1", "Provenance", _no_onbehalf),
)
"""(key, type, how it is broken: False if the example has nothing to break)."""
