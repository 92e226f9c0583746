"""R4's elements: what each structure may hold, how often, of which types.  https://hl7.org/fhir/R4/elementdefinition.html"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Element:
    """One element; `max` is None for "*"; `structure` is the backbone path its children are listed under, if any."""

    path: str
    name: str
    min: int
    max: int | None
    types: tuple[str, ...]
    structure: str = ""
    targets: tuple[str, ...] = ()
    canonical_targets: tuple[str, ...] = ()
    binding: str = ""
    modifier: bool = False
    summary: bool = False

    @property
    def repeats(self) -> bool:
        """Whether its JSON is an array."""
        return self.max is None

    @property
    def choice(self) -> bool:
        """Whether its name carries the type, as in value[x]."""
        return self.name.endswith("[x]")

    @property
    def extensible(self) -> bool:
        """Whether a primitive may have a '_' companion; Element.id and Extension.url are attributes in XML."""
        return self.path not in ("Element.id", "Extension.url")

    @cached_property
    def json_names(self) -> Mapping[str, str]:
        """JSON member name -> type code; several for a choice."""
        if not self.choice:
            return {self.name: self.types[0] if self.types else self.structure}
        stem = self.name.removesuffix("[x]")
        return {stem + code[0].upper() + code[1:]: code for code in self.types}


class ElementTable:
    """Structures (resource types, data types, backbones) with their elements, and the codes of required bindings."""

    def __init__(
        self, structures: Mapping[str, Mapping[str, Any]], codes: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> None:
        self._structures = structures
        self._codes = codes
        self._members: dict[str, Mapping[str, tuple[Element, str]]] = {}
        self._elements: dict[str, tuple[Element, ...]] = {}
        self._required: dict[str, tuple[Element, ...]] = {}

    def structures(self) -> Iterable[str]:
        """The name or backbone path of every structure."""
        return self._structures

    def __contains__(self, structure: str) -> bool:
        return structure in self._structures

    def base(self, structure: str) -> str:
        """The structure it specializes, "" for Element and Resource."""
        return str(self._structures[structure]["base"])

    def of(self, structure: str) -> tuple[Element, ...]:
        """Every element of a structure, inherited ones first; KeyError if R4 has no such structure."""
        if structure not in self._elements:
            entry = self._structures[structure]
            inherited = self.of(entry["base"]) if entry["base"] else ()
            own = tuple(_element(structure, row) for row in entry["elements"])
            self._elements[structure] = inherited + own
        return self._elements[structure]

    def required(self, structure: str) -> tuple[Element, ...]:
        """The elements a structure must have."""
        if structure not in self._required:
            self._required[structure] = tuple(element for element in self.of(structure) if element.min)
        return self._required[structure]

    def members(self, structure: str) -> Mapping[str, tuple[Element, str]]:
        """JSON member name -> (element, type code or backbone path)."""
        if structure not in self._members:
            self._members[structure] = {
                name: (element, element.structure or code)
                for element in self.of(structure)
                for name, code in element.json_names.items()
            }
        return self._members[structure]

    def codes(self, value_set: str) -> Mapping[str, Sequence[str]]:
        """System -> codes of a value set that a required binding of R4 names; empty if it cannot be listed."""
        return self._codes.get(value_set, {})

    def at(self, path: str) -> Element | None:
        """The element at a path of JSON or definition names; None if there is none."""
        structure, *names = path.split(".")
        element = None
        for name in names:
            if structure not in self._structures:
                return None
            element, structure = self._step(structure, name)
        return element

    def _step(self, structure: str, name: str) -> tuple[Element | None, str]:
        found = self.members(structure).get(name)
        if found:
            return found
        for element in self.of(structure):
            if element.choice and name in (element.name, element.name.removesuffix("[x]")):
                return element, element.types[0] if len(element.types) == 1 else ""
        return None, ""


def _element(structure: str, row: Sequence[Any]) -> Element:
    name, least, most, kind, extras = (*row, {})[:5]
    backbone = kind[1:] if kind.startswith("@") else ""
    return Element(
        path=f"{structure}.{name}",
        name=name,
        min=least,
        max=None if most == "*" else int(most),
        types=() if backbone else tuple(kind.split("|")),
        structure=backbone,
        targets=tuple(extras.get("targets", ())),
        canonical_targets=tuple(extras.get("canonical", ())),
        binding=extras.get("binding", ""),
        modifier=bool(extras.get("modifier")),
        summary=bool(extras.get("summary")),
    )
