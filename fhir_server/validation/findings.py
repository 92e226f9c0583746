"""What a check of one resource gathers: its issues, and the resource itself, in which references are looked up.

https://hl7.org/fhir/R4/references.html#contained
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fhir_server.fhir.errors import Issue

_PARTS = 2


class Target(NamedTuple):
    """A reference whose target stands elsewhere, and the profiles of which the target must keep one."""

    where: str
    reference: str
    profiles: tuple[str, ...]


class Findings(list[Issue]):
    """The issues of a resource, and what is met on the way: made for every write, so that it costs next to nothing."""

    __slots__ = ("_elsewhere", "_entered", "root")

    def __init__(self, root: Any = None) -> None:
        self.root = root

    @property
    def elsewhere(self) -> list[Target]:
        """References whose targets the resource cannot tell about."""
        if not hasattr(self, "_elsewhere"):
            self._elsewhere: list[Target] = []
        return self._elsewhere

    @property
    def entered(self) -> set[tuple[str, int]]:
        """The profile and the identity of each value that is being checked at this moment."""
        if not hasattr(self, "_entered"):
            self._entered: set[tuple[str, int]] = set()
        return self._entered

    def within(self) -> "Findings":
        """An empty list of issues over the same resource, for an attempt whose issues are of no interest."""
        found = Findings(self.root)
        found._entered = self.entered
        return found

    def resolved(self, reference: Any) -> Mapping[str, Any] | None:
        """The resource that a Reference leads to inside this resource: contained, or in an entry; None otherwise."""
        text = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(text, str) or not isinstance(self.root, dict):
            return None
        if text.startswith("#"):
            inner = self.root.get("contained", ())
            return next((one for one in inner if isinstance(one, dict) and f"#{one.get('id')}" == text), None)
        return next((one["resource"] for one in _entries(self.root) if _is_at(one, text)), None)


def _entries(root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = root.get("entry", ()) if root.get("resourceType") == "Bundle" else ()
    return [one for one in entries if isinstance(one, dict) and isinstance(one.get("resource"), dict)]


def _is_at(entry: Mapping[str, Any], text: str) -> bool:
    url = entry.get("fullUrl")
    return isinstance(url, str) and (url == text or url.endswith(f"/{text}"))


def named_type(reference: Mapping[str, Any]) -> str | None:
    """The type that a reference names; None for a contained resource, a urn, or an address that does not tell."""
    parts = str(reference.get("reference", "")).partition("/_history/")[0].split("/")
    if len(parts) >= _PARTS and parts[-2][:1].isupper() and parts[-2].isalpha():
        return parts[-2]
    kind = reference.get("type")
    return kind if isinstance(kind, str) and "reference" not in reference else None
