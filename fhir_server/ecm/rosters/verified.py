"""Facts with source, date and verifier: address, telephone, language, housing that a provider found to be so.

A plan's file never replaces one that was verified later than the file was made, and does not undo a recorded death.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.facets import extension, extensions
from fhir_server.ecm.rosters.mapping import RESTRICTED

Resource = Mapping[str, Any]

_MARK: Final = words.VERIFIED.encode()
_LISTS: Final = ("address", "telecom", "communication")
_REACHED: Final = ("address", "telecom")
_OF_SERVER: Final = (words.VERIFIED, words.INLINE_LABEL)
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
    """The day on which an element, or an extension by its value, was verified; "" if it was not."""
    marks = [*extensions(element, words.VERIFIED), *extensions(element.get("_valueBoolean"), words.VERIFIED)]
    return next((str(extension(item, "date", "valueDate") or "") for item in marks), "")


def content(entry: Resource) -> dict[str, Any]:
    """What an entry says, without who verified it and whether it stays home."""
    said = {name: value for name, value in entry.items() if name != "extension"}
    others = [one for one in entry.get("extension", []) if one.get("url") not in _OF_SERVER]
    return {**said, "extension": others} if others else said


def kinds(name: str, entries: Sequence[Resource]) -> set[str]:
    """What is told by entries of a list: by post or at home, by telephone or mail; one kind for all languages."""
    if name == "address":
        return {"postal" if entry.get("type") == "postal" else "home" for entry in entries}
    return {str(entry.get("system", "")) if name == "telecom" else "language" for entry in entries}


def kept_home(name: str, patient: Resource, entries: Sequence[Resource]) -> list[Resource]:
    """Entries for a list of the Patient, marked to stay home where those of the member do."""
    labels = [one for entry in patient.get(name, []) for one in extensions(entry, words.INLINE_LABEL)]
    if name not in _REACHED or not (labels or extensions(patient, words.SAFE_CONTACT)):
        return list(entries)
    label = labels[0] if labels else RESTRICTED
    return [
        entry if extensions(entry, words.INLINE_LABEL) else {**entry, "extension": [*entry.get("extension", []), label]}
        for entry in entries
    ]


def kept(body: bytes, old: Resource, new: dict[str, Any], day: str) -> dict[str, Any]:
    """The Patient as a file of this day tells it, with what was verified later, and with a death that is known."""
    death = {name: old[name] for name in _DEATH if name in old and not any(one in new for one in _DEATH)}
    new = {**new, **death}
    if _MARK not in body:
        return new
    for name in _LISTS:
        later = [item for item in old.get(name, []) if verified_on(item) >= day]
        if later:
            later = kept_home(name, new, later)
            new[name] = [*later, *(item for item in new.get(name, []) if not _is_replaced(name, item, later))]
    housing = [item for item in extensions(old, words.HOMELESS) if verified_on(item) >= day]
    if housing:
        others = [item for item in new.get("extension", []) if item.get("url") != words.HOMELESS]
        new["extension"] = [*others, *housing]
    return new


def _is_replaced(name: str, item: Resource, later: list[Resource]) -> bool:
    """Whether a verified entry stands where the file has this one: the same kind of address or contact point."""
    return bool(kinds(name, [item]) & kinds(name, later))


def is_new(element: Resource, day: str | None) -> bool | None:
    """True for an element that was verified since a file of this day; None, which is no word, for any other."""
    found = verified_on(element)
    return True if found and found >= (day or "") else None


def found_by(patient: Resource, fresh: Mapping[str, Resource], verifier: str, day: str) -> dict[str, Any] | None:
    """The Patient with an address or telephone (by the list it goes to) that was found, marked; None if none is new."""
    changed = {
        name: [
            *kept_home(name, patient, [{"extension": [mark(verifier, day)], **element}]),
            *_others(name, patient.get(name, []), element),
        ]
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
