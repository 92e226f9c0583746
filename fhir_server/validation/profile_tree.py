"""A StructureDefinition as a tree of elements and slices, with the rules of the profiles it derives from.

https://hl7.org/fhir/R4/elementdefinition.html and https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions

Json = Mapping[str, Any]

BASE: Final = "http://hl7.org/fhir/StructureDefinition/"
ONLY: Final = "only"
"""The forms of a choice that definitions name in short: others are not allowed then."""
_ADDED_UP: Final = frozenset({"constraint"})


@dataclass(slots=True)
class Node:
    """An element of a profile: what its definitions say, its children by name, its slices by slice name."""

    name: str
    path: str
    rules: dict[str, Any] = field(default_factory=dict)
    children: dict[str, "Node"] = field(default_factory=dict)
    slices: dict[str, "Node"] = field(default_factory=dict)

    def child(self, name: str) -> "Node":
        """The child of that name, made if it is new."""
        return self.children.setdefault(name, Node(name, f"{self.path}.{name}"))

    def slice(self, name: str) -> "Node":
        """The slice of that name, made if it is new; a/b is the slice b of the slice a."""
        outer, _, inner = name.partition("/")
        if inner and outer in self.slices and name not in self.slices:
            return self.slices[outer].slice(inner)
        return self.slices.setdefault(name, Node(self.name, self.path))

    def slices_of(self, name: str) -> Sequence["Node"]:
        """The slices of a child."""
        return tuple(self.children[name].slices.values()) if name in self.children else ()

    def add(self, element: Json) -> None:
        """Takes over a definition: later ones replace earlier ones, constraints add up."""
        for key, value in element.items():
            self.rules[key] = [*self.rules.get(key, ()), *value] if key in _ADDED_UP else value

    def values(self) -> Iterator[tuple[str, Any]]:
        """("fixed" or "pattern", the value) of each that the element must have; several where profiles build up."""
        for key, value in self.rules.items():
            for kind in ("fixed", "pattern"):
                if key.startswith(kind):
                    yield kind, value


def tree(definition: Json, definitions: Definitions) -> Node:
    """The rules of a profile or extension, its base profiles' first.

    The differentials are read, down to the base type of R4; a definition without one, or whose base profile is not
    installed, is read from its snapshot.
    """
    root = Node(definition["type"], definition["type"])
    for element in _elements(definition, definitions):
        _place(root, element, definitions)
    return root


def _elements(definition: Json, definitions: Definitions) -> Iterator[Json]:
    differential = definition.get("differential", {}).get("element")
    base = str(definition.get("baseDefinition", ""))
    parent = None if base == BASE + definition["type"] else definitions.resource(base)
    stands_alone = parent is None and base != BASE + definition["type"]
    if not differential or (stands_alone and "snapshot" in definition):
        yield from definition.get("snapshot", {}).get("element", ())
        return
    if parent is not None:
        yield from _elements(parent, definitions)
    yield from differential


def _place(root: Node, element: Json, definitions: Definitions) -> None:
    node = root
    for part in _identity(element).split(".")[1:]:
        name, _, slice_name = part.partition(":")
        known = definitions.element(f"{node.path}.{name}")
        short = name if known is not None and known.choice and name in known.json_names else ""
        if known is not None and short:  # valueString is short for value[x]:valueString, and for no other type
            name, slice_name = known.name, slice_name or short
        node = node.child(name)
        if short:
            node.rules[ONLY] = {*node.rules.get(ONLY, ()), short}
        if slice_name:
            node = node.slice(slice_name)
    node.add(element)


def _identity(element: Json) -> str:
    """The id, which names slices; a definition without ids is read by its paths and slice names."""
    if "id" in element:
        return str(element["id"])
    return f"{element['path']}:{element['sliceName']}" if "sliceName" in element else str(element["path"])
