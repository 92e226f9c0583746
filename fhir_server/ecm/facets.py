"""Small readings of resources: codes, extensions, days, telephone numbers.

Nothing here raises for what a resource leaves out: it is simply not known.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from fhir_server.ecm import member
from fhir_server.ecm.member import Unreadable
from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.values import local_time, parse_date

Resource = Mapping[str, Any]


def code_in(node: Any, system: str) -> str | None:
    """The first code of a system among Codings, CodeableConcepts or lists of them."""
    return next(codes_in(node, system), None)


def codes_in(node: Any, system: str) -> Iterator[str]:
    """Every code of a system among Codings, CodeableConcepts or lists of them, in their order."""
    if isinstance(node, list):
        for item in node:
            yield from codes_in(item, system)
    elif isinstance(node, Mapping):
        if node.get("system") == system and node.get("code"):
            yield str(node["code"])
        yield from codes_in(node.get("coding"), system)


def extensions(node: Any, url: str) -> list[Resource]:
    """The extensions with this URL."""
    given = node.get("extension", []) if isinstance(node, Mapping) else []
    return [item for item in given if item.get("url") == url]


def extension(node: Any, url: str, value: str) -> Any:
    """The value[x] of the first extension with this URL; None without one."""
    return next((item[value] for item in extensions(node, url) if value in item), None)


def identifier(resource: Resource, *systems: str) -> str | None:
    """The first identifier in one of these systems, the systems in order of preference."""
    given = resource.get("identifier", [])
    pairs = ((system, item) for system in systems for item in given)
    return next((item["value"] for system, item in pairs if item.get("system") == system and item.get("value")), None)


def telecom(system: str, *resources: Resource) -> str | None:
    """The first telephone number (ten digits) or e-mail address of the first of these resources that has one."""
    read = member.phone if system == "phone" else member.email
    for resource in resources:
        for item in resource.get("telecom", []):
            if item.get("system") == system and item.get("use") != "old" and item.get("value"):
                try:
                    return read(item["value"])
                except Unreadable:
                    continue
    return None


def person_name(resource: Resource) -> str | None:
    """Given and family name, or the text, of the name in use."""
    name = current(resource.get("name", []))
    parts = [*name.get("given", []), name.get("family")]
    return " ".join(part for part in parts if part) or name.get("text")


def current(entries: Sequence[Resource]) -> Resource:
    """The official entry, else the first one that is not marked as former; {} without any."""
    usable = [entry for entry in entries if entry.get("use") not in {"old", "maiden"}]
    return next((entry for entry in usable if entry.get("use") == "official"), usable[0] if usable else {})


def day_of(text: Any, zone: tzinfo) -> str | None:
    """The calendar day, in the exchange's zone, of a date or dateTime; None for less than a day, or no date."""
    if not isinstance(text, str) or len(text) < len("2025-01-01"):
        return None
    if "T" not in text:
        return text
    try:
        return local_day(parse_date(text, zone)[0], zone)
    except BadValue:
        return None


def local_day(instant: int, zone: tzinfo) -> str:
    """The calendar day in a zone of an instant in milliseconds."""
    return local_time(instant, zone).date().isoformat()
