"""Facts with source, date and verifier: address, telephone, language, housing that a provider found to be so.

A plan's file never replaces one that was verified later than the file was made, and does not undo a recorded death.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.facets import extension, extensions
from fhir_server.ecm.files.facts import MemberFacts

Resource = Mapping[str, Any]

_MARK: Final = words.VERIFIED.encode()
_LISTS: Final = ("address", "telecom", "communication")
_DEATH: Final = ("deceasedBoolean", "deceasedDateTime")


def mark(verifier: str, day: str, source: str = "provider") -> dict[str, Any]:
    """The extension that says who verified an element, and when."""
    parts = [
        {"url": "source", "valueCode": source},
        {"url": "date", "valueDate": day},
        {"url": "verifier", "valueReference": {"reference": verifier}},
    ]
    return {"url": words.VERIFIED, "extension": parts}


def verified_on(element: Resource) -> str:
    """The day on which an element was verified; "" if it was not."""
    return next((str(extension(item, "date", "valueDate") or "") for item in extensions(element, words.VERIFIED)), "")


def kept(body: bytes, old: Resource, new: dict[str, Any], day: str) -> dict[str, Any]:
    """The Patient as a file of this day tells it, with what was verified later, and with a death that is known."""
    death = {name: old[name] for name in _DEATH if name in old and not any(one in new for one in _DEATH)}
    new = {**new, **death}
    if _MARK not in body:
        return new
    for name in _LISTS:
        later = [item for item in old.get(name, []) if verified_on(item) >= day]
        if later:
            new[name] = [*later, *(item for item in new.get(name, []) if not _is_replaced(name, item, later))]
    housing = [item for item in extensions(old, words.HOMELESS) if verified_on(item) >= day]
    if housing:
        others = [item for item in new.get("extension", []) if item.get("url") != words.HOMELESS]
        new["extension"] = [*others, *housing]
    return new


def _is_replaced(name: str, item: Resource, later: list[Resource]) -> bool:
    """Whether a verified entry stands where the file has this one: the same kind of address or contact point."""
    if name == "address":
        return any(one.get("type") == item.get("type") for one in later)
    if name == "telecom":
        return any(one.get("system") == item.get("system") for one in later)
    return True


def is_new(element: Resource, day: str | None) -> bool | None:
    """True for an element that was verified since a file of this day; None, which is no word, for any other."""
    found = verified_on(element)
    return True if found and found >= (day or "") else None


def found_by(patient: Resource, facts: MemberFacts, verifier: str, day: str) -> dict[str, Any] | None:
    """The Patient with the new address and telephone of a return file's row, marked; None where nothing is new."""
    fresh: dict[str, dict[str, Any]] = {}
    if facts.new_address and facts.address:
        place = {"city": facts.city, "state": facts.state, "postalCode": facts.zip}
        said = {name: value for name, value in place.items() if value}
        fresh["address"] = {"use": "home", "line": [facts.address], **said}
    if facts.new_phone and facts.phone:
        fresh["telecom"] = {"system": "phone", "value": facts.phone.replace("x", " x")}
    changed = {
        name: [{"extension": [mark(verifier, day)], **element}, *_others(name, patient.get(name, []), element)]
        for name, element in fresh.items()
        if not _is_known(patient.get(name, []), element, day)
    }
    return {**patient, **changed} if changed else None


def _others(name: str, entries: list[Resource], fresh: Resource) -> list[Resource]:
    return [item for item in entries if not _is_replaced(name, item, [fresh])]


def _is_known(entries: list[Resource], fresh: Resource, day: str) -> bool:
    """Whether the element stands there, or one of its kind that was verified later."""
    for item in entries:
        content = {name: value for name, value in item.items() if name != "extension"}
        same_kind = item.get("system") == fresh.get("system") and item.get("type") == fresh.get("type")
        if same_kind and (content == fresh or verified_on(item) > day):
            return True
    return False
