"""What stands where: R4's elements, and what GraphQL adds to them: searches, connections, resolved references.

https://hl7.org/fhir/R4/graphql.html#fields
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element, ElementTable

How = Literal["", "read", "list", "connection", "reference"]

SYSTEM: Final = "Query"
_CONNECTION: Final = "Connection"
_EDGE: Final = "Edge"
_LEAVES: Final = {
    _CONNECTION: dict.fromkeys(("count", "offset", "pagesize"), "integer")
    | dict.fromkeys(("first", "previous", "next", "last"), "string"),
    _EDGE: {"mode": "code", "score": "decimal"},
}


class Kind(NamedTuple):
    """A structure, and what it may lead to if it is a Reference."""

    structure: str
    targets: tuple[str, ...] = ()


class Member(NamedTuple):
    """What a field of a structure holds, whether as a list, and how it is found if it is not there already."""

    kind: Kind
    repeats: bool = False
    how: How = ""


class Schema:
    """The structures of a query. SYSTEM is what it begins with where no resource is in the URL."""

    def __init__(self, definitions: Definitions) -> None:
        self._elements: ElementTable = definitions.elements
        self.types: frozenset[str] = frozenset(definitions.types)

    def member(self, kind: Kind, name: str) -> Member | None:
        """What a field stands for; None if the structure has no such field."""
        structure = kind.structure
        if name == "__typename" or (name == "resourceType" and structure in self.types):
            return Member(Kind("code"))
        if structure in self._elements:
            return self._element(kind, name) or (self._search(name) if structure in self.types else None)
        if structure == SYSTEM:
            return Member(Kind(name), how="read") if name in self.types else self._search(name)
        return self._paged(structure, name)

    def _element(self, kind: Kind, name: str) -> Member | None:
        members: Mapping[str, tuple[Element, str]] = self._elements.members(kind.structure)
        if name in members:
            element, code = members[name]
            return Member(Kind(code, element.targets), element.repeats)
        if kind.structure == "Reference" and name == "resource":
            return Member(Kind("Resource", kind.targets), how="reference")
        beside = members.get(name[1:]) if name.startswith("_") else None
        if beside and beside[0].extensible and beside[1] not in self._elements:
            return Member(Kind("Element"), beside[0].repeats)
        return None

    def _search(self, name: str) -> Member | None:
        if name.endswith("List") and name.removesuffix("List") in self.types:
            return Member(Kind(name.removesuffix("List")), repeats=True, how="list")
        if name.endswith(_CONNECTION) and name.removesuffix(_CONNECTION) in self.types:
            return Member(Kind(name), how="connection")
        return None

    def _paged(self, structure: str, name: str) -> Member | None:
        ending = _CONNECTION if structure.endswith(_CONNECTION) else _EDGE
        type_ = structure.removesuffix(ending)
        if name in _LEAVES[ending]:
            return Member(Kind(_LEAVES[ending][name]))
        if (ending, name) == (_CONNECTION, "edges"):
            return Member(Kind(type_ + _EDGE), repeats=True)
        return Member(Kind(type_)) if (ending, name) == (_EDGE, "resource") else None

    def has_fields(self, kind: Kind) -> bool:
        """Whether fields must be chosen of it; False for a plain value."""
        return kind.structure in self._elements or kind.structure.endswith((_CONNECTION, _EDGE))

    def values(self, kind: Kind) -> frozenset[str]:
        """The fields that hold plain values, by which a list can be filtered."""
        if kind.structure not in self._elements:
            return frozenset()
        members = self._elements.members(kind.structure)
        return frozenset(name for name, (_, code) in members.items() if code not in self._elements)

    def types_of(self, kind: Kind) -> tuple[Kind, ...]:
        """The types of which one stands there: of what is any resource all, or those that are referred to."""
        if kind.structure != "Resource":
            return (kind,)
        return tuple(Kind(type_) for type_ in kind.targets or sorted(self.types))

    def fits(self, structure: str, conditions: tuple[str, ...]) -> bool:
        """Whether a structure is all that the fragments around a field ask for: itself or what it is based on."""
        if not conditions:
            return True
        names, base = {shown(structure)}, structure if structure in self._elements else ""
        while base:
            names.add(shown(base))
            base = self._elements.base(base)
        return names.issuperset(conditions)


def shown(structure: str) -> str:
    """The name of a structure in a query: PatientContact for Patient.contact."""
    return "".join(step[:1].upper() + step[1:] for step in structure.split("."))
