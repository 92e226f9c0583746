"""Facts with source, date and verifier: address, telephone, language, housing that a provider found to be so.

A plan's file never replaces one that was verified later than the file was made, and does not undo a recorded death.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.facets import extension, extensions

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


def verifier_of(element: Resource) -> str:
    """The reference of the organization that verified an element; "" if nobody did."""
    found = (extension(item, "verifier", "valueReference") for item in extensions(element, words.VERIFIED))
    return next((str(one.get("reference", "")) for one in found if one), "")


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


def replaced(entries: list[Resource], fresh: dict[str, Any], name: str) -> list[Resource]:
    """The entries of an element with a verified one in the place of those of its kind."""
    return [fresh, *(item for item in entries if not _is_replaced(name, item, [fresh]))]
