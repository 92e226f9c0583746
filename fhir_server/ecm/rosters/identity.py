"""Who a row is about: one person keeps one Patient through a change of CIN, and no row is written over another person.

A frozen CIN stays as a former identifier, so that the member is found by it; what a row says of it is sent back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.facets import current
from fhir_server.ecm.rosters.assignment import Assignment, same_names
from fhir_server.ecm.rosters.newborn_numbers import cin_of_mother
from fhir_server.engine.context import Context
from fhir_server.fhir import wire
from fhir_server.store import resources
from fhir_server.store.members import Member
from fhir_server.store.resources import Row

Resource = Mapping[str, Any]
Refusal = tuple[str, str, str]  # fact, code, advice

_OLD = b'"old"'
_NUMBERS = frozenset({words.CIN, words.NEWBORN})


def doubt(known: Row | None, facts: Assignment) -> Refusal | None:
    """Why a row cannot be written over the Patient with its CIN: it names another person, or a frozen number."""
    if known is None or (_OLD not in known.body and _says(known, facts)):
        return None
    patient = wire.parse(known.body)
    former = [item["value"] for item in former_cins(patient)]
    if facts.cin in former:
        advice = f"This member's CIN is {_cin_of(patient)} now. Send the row with it."
        return "cin", words.CIN_CHANGED, advice
    if not is_same(patient, facts):
        advice = (
            "Your member with this CIN has another name and date of birth. Correct the CIN; or, if it is the same "
            "person, correct the Patient first and have parked rows resolved."
        )
        return "cin", words.AMBIGUOUS_IDENTITY, advice
    return None


def conflict(known: Row | None) -> Refusal | None:
    """What the sender should know of a member it lists: that a death is recorded."""
    if known is None or b'"deceased' not in known.body or b'"deceasedBoolean":false' in known.body:
        return None
    advice = (
        "A death is recorded for this member, and was kept. No outreach: end the assignment, or correct the Patient."
    )
    return "cin", words.DECEASED, advice


def is_same(patient: Resource, facts: Assignment) -> bool:
    """Whether a row with this identifier can be about this Patient: see `assignment.same_names`."""
    name = current(patient.get("name", []))
    known = (str(name.get("family", "")), str((name.get("given") or [""])[0]))
    return same_names(known, (facts.last_name, facts.first_name), same_day=patient.get("birthDate") == facts.birth_date)


def succeeds(holder: Row | None, facts: Assignment) -> Refusal | bool:
    """Whether a row with a new CIN is about the Patient that has its plan member number; or why nobody can tell."""
    if holder is None:
        return False
    patient = wire.parse(holder.body)
    if is_same(patient, facts):
        return True
    if patient.get("birthDate") == facts.birth_date:
        advice = "Your member with this Plan Member ID has another CIN and name. Correct the number, or the CIN."
        return "member_id", words.AMBIGUOUS_IDENTITY, advice
    return False


def former_cins(patient: Resource) -> Iterator[Resource]:
    """The identifiers that are frozen CINs, or the number of a newborn that has a CIN now."""
    for item in patient.get("identifier", []):
        if item.get("system") in _NUMBERS and item.get("use") == "old":
            yield item


def with_former(old: Resource, new: dict[str, Any]) -> dict[str, Any]:
    """The Patient as a row tells it, with the numbers that it had before and the Patients it is linked with."""
    known = [item for item in old.get("identifier", []) if item.get("system") in _NUMBERS or item.get("use") == "old"]
    present = {item.get("value") for item in new["identifier"]}
    former = [{**item, "use": "old"} for item in known if item.get("value") not in present]
    linked = {"link": old["link"]} if "link" in old else {}
    return {**new, "identifier": [*new["identifier"], *former], **linked} if former or linked else new


def absent(context: Context, names: Callable[[str], bool], page: Sequence[Member]) -> list[Member]:
    """The members of a page whom a file does not name (`names`), by their CIN or by one that they had before."""
    found = [row for row in page if not names(cin_of_mother(row.key))]
    patients = resources.by_hash(context.connection, context.visible_targets(), [row.patient for row in found])
    still = {
        one.rh
        for one in patients
        if _OLD in one.body and any(names(item["value"]) for item in former_cins(wire.parse(one.body)))
    }
    return [row for row in found if row.patient not in still]


def _cin_of(patient: Resource) -> str:
    found = [
        i["value"] for i in patient.get("identifier", []) if i.get("system") == words.CIN and i.get("use") != "old"
    ]
    return str(found[0]) if found else "another one"


def _says(known: Row, facts: Assignment) -> bool:
    """A quick look, without reading it, whether a Patient has a row's date of birth and one of its names."""
    body, names = known.body, (facts.last_name, facts.first_name)
    return facts.birth_date.encode() in body and any(f'"{name}"'.encode() in body for name in names)
