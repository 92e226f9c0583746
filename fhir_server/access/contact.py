"""The contact view of a Patient: what an organization outside the care relation needs to reach a person it serves.

Kept: how the person is called, reached and spoken to, the date of birth (two people at one address are told apart by
it), and whom else to call. Left out: every identifier (the CIN above all), gender, race and other extensions, photo,
marital status, general practitioner, managing organization, links, narrative and security labels; former names and
addresses, because they tell a history that a meal delivery does not need; and contact data that carries a label of its
own (restricted): a safe-contact restriction (SD-09), a confidential address. The result is a valid R4 Patient and
claims no profile. Needed elements only: SDOH Clinical Care, privacy and security (SD-08).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_server.access.labels import LabelTable, Membership, labels_of, no_lists

Node = Mapping[str, Any]

_INLINE_LABEL: Final = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
_CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_RESTRICTED: Final = frozenset({"R", "V"})
_FORMER: Final = frozenset({"old", "maiden"})
_NAME: Final = ("use", "text", "family", "given", "prefix", "suffix")
_TELECOM: Final = ("system", "value", "use", "rank")
_ADDRESS: Final = ("use", "type", "text", "line", "city", "district", "state", "postalCode", "country")
_CONCEPT: Final = ("coding", "text")
_CODING: Final = ("system", "version", "code", "display")


def contact_view(patient: Node, today: str = "") -> dict[str, Any]:
    """A new Patient with the elements of the contact view alone; the server stamps id and meta.

    What ended before `today` (YYYY-MM-DD) is left out; without it, only what is marked as former.
    """
    view: dict[str, Any] = {"resourceType": "Patient"}
    for name in ("id", "active", "birthDate", "deceasedBoolean"):
        if name in patient:
            view[name] = patient[name]
    if "deceasedDateTime" in patient:
        view["deceasedBoolean"] = True
    _put(view, "name", _current(patient.get("name"), _NAME, today))
    _put(view, "telecom", _current(patient.get("telecom"), _TELECOM, today))
    _put(view, "address", _current(patient.get("address"), _ADDRESS, today))
    _put(view, "communication", [_language(entry) for entry in _list(patient.get("communication"))])
    _put(view, "contact", [_person(entry, today) for entry in _list(patient.get("contact"))])
    return view


def contact_labels(
    patient: Node,
    *,
    source_is_part2: bool,
    membership: Membership = no_lists,
    table: LabelTable | None = None,
    view: Node | None = None,
) -> int:
    """The label bits of the contact view: those stated of the whole and of its source, and of the codes it keeps.

    So a homeless member can be referred to a food bank, and one whom somebody labelled as a victim of violence cannot
    be, by a share that does not reach so far. `view` is the contact view where it is made already.
    """
    kept = {**(contact_view(patient) if view is None else view), "meta": patient.get("meta", {})}
    return labels_of("Patient", kept, source_is_part2, membership, table)


def _person(contact: Node, today: str) -> dict[str, Any]:
    """Somebody to call; a person who is not to be contacted any more is left out as a whole."""
    if _is_former(contact, today):
        return {}
    person: dict[str, Any] = {}
    _put(person, "relationship", [_concept(entry) for entry in _list(contact.get("relationship"))])
    _put(person, "name", _only(contact.get("name"), _NAME))
    _put(person, "telecom", _current(contact.get("telecom"), _TELECOM, today))
    # R4 pat-1: a contact holds a name, telecom, address or organization.
    return person if person.keys() & {"name", "telecom"} else {}


def _language(communication: Node) -> dict[str, Any]:
    language = _concept(communication.get("language") or {})
    if not language:
        return {}
    preferred = {"preferred": communication["preferred"]} if "preferred" in communication else {}
    return {"language": language, **preferred}


def _concept(concept: Node) -> dict[str, Any]:
    kept = _only(concept, _CONCEPT)
    if "coding" in kept:
        kept["coding"] = [_only(coding, _CODING) for coding in _list(kept["coding"])]
    return kept


def _current(entries: Any, names: Sequence[str], today: str) -> list[dict[str, Any]]:
    return [_only(entry, names) for entry in _list(entries) if not (_is_former(entry, today) or _stays_home(entry))]


def _stays_home(entry: Node) -> bool:
    """Marked as restricted by itself, such as the address of a child in foster care.  HL7 DS4P, inline labels"""
    labels = (one.get("valueCoding", {}) for one in _list(entry.get("extension")) if one.get("url") == _INLINE_LABEL)
    return any(label.get("system") == _CONFIDENTIALITY and label.get("code") in _RESTRICTED for label in labels)


def _is_former(entry: Node, today: str) -> bool:
    """Marked as former, or ended before today; a partial end date lasts as long as it could."""
    end = str((entry.get("period") or {}).get("end", ""))[:10]
    return entry.get("use") in _FORMER or bool(end and today and end < today[: len(end)])


def _only(node: Any, names: Sequence[str]) -> dict[str, Any]:
    """Those elements, without the nulls that stand for values known by an extension alone."""
    kept: dict[str, Any] = {}
    for name in names if isinstance(node, dict) else ():
        value = node.get(name)
        if isinstance(value, list):
            value = [item for item in value if item is not None]
        if value not in (None, []):
            kept[name] = value
    return kept


def _list(value: Any) -> list[Node]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _put(target: dict[str, Any], name: str, value: Any) -> None:
    kept = [entry for entry in value if entry] if isinstance(value, list) else value
    if kept:
        target[name] = kept
