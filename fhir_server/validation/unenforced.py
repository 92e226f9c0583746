"""Which rules of profiles cannot be asked here: told when a package is installed, and skipped ever after.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.validation import invariant
from fhir_server.validation.profile_tree import BASE


class Unenforced(NamedTuple):
    """A rule, the profile that has it, and why it is not asked."""

    profile: str
    key: str
    reason: str


def unenforced(resources: Iterable[Mapping[str, Any]]) -> Iterator[Unenforced]:
    """The rules with severity error in these definitions that are never asked; each profile's own, once each."""
    seen = set()
    for one in resources:
        for constraint in _constraints(one):
            reason = invariant.compiled(constraint.get("expression", ""), member_of=_any_value_set).reason
            found = Unenforced(str(one.get("url")), str(constraint.get("key")), reason)
            if reason and found not in seen:
                seen.add(found)
                yield found


def _any_value_set(_: str, __: object) -> bool | None:
    return None


def _constraints(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if definition.get("resourceType") != "StructureDefinition":
        return
    rows = definition.get("differential", {}).get("element") or definition.get("snapshot", {}).get("element", ())
    for element in rows:
        for one in element.get("constraint", ()):
            if one.get("severity") == "error" and not str(one.get("source", "")).startswith(BASE):
                yield one
