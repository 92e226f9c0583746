"""The definitions the server works by: R4's own table and the resources of package folders.

R4 comes from the generated files of profiles/r4-core; guides add folders of <Type>-<id>.json files.
https://hl7.org/fhir/R4/conformance-module.html
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from fhir_server.fhir.elements import Element, ElementTable
from fhir_server.fhir.folders import data_folder

PACKAGE_TYPES = (
    "CodeSystem",
    "ConceptMap",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "ValueSet",
)


@dataclass(frozen=True, slots=True)
class SearchParam:
    """One search parameter; from `Definitions.search_params` the expression holds the asked type's part only."""

    code: str
    type: str
    expression: str
    targets: tuple[str, ...]
    url: str
    types: tuple[str, ...]
    components: tuple[tuple[str, str], ...] = ()


class Definitions:
    """What is defined: resource types, search parameters, compartments, elements, and the packages' resources."""

    def __init__(self, core: Path, resources: Iterable[dict[str, Any]]) -> None:
        self.types: tuple[str, ...] = tuple(sorted(type_numbers()))
        self.elements = core_elements()
        self._compartments: Mapping[str, Mapping[str, tuple[str, ...]]] = {
            name: MappingProxyType({kind: tuple(codes) for kind, codes in rows.items()})
            for name, rows in _read(core / "compartments.json").items()
        }
        self._by_type: dict[str, list[dict[str, Any]]] = {}
        self._by_url: dict[str, dict[str, Any]] = {}
        for resource in resources:
            self._add(resource)
        own = (_from_row(row) for row in _read(core / "search-parameters.json"))
        added = (search_param(r) for r in self.all("SearchParameter") if r.get("expression"))
        self._params = self._defined = _params_by_type(self.types, [*own, *added])

    def _add(self, resource: dict[str, Any]) -> None:
        self._by_type.setdefault(resource["resourceType"], []).append(resource)
        if url := resource.get("url"):
            self._by_url[url] = resource
            self._by_url[f"{url}|{resource.get('version', '')}"] = resource

    def search_params(self, kind: str) -> Mapping[str, SearchParam]:
        """Code -> parameter of a resource type, those of every resource included; KeyError for an unknown type."""
        return self._params[kind]

    def extended(self, added: Iterable[SearchParam]) -> "Definitions":
        """The same with these search parameters beside those of R4 and the packages."""
        params = {kind: dict(known) for kind, known in self._defined.items()}
        for one in added:
            for base in one.types:
                params[base][one.code] = replace(one, expression=part_for(base, one.expression))
        found = copy(self)
        found._params = {kind: MappingProxyType(known) for kind, known in params.items()}  # noqa: SLF001 - a copy of ours
        return found

    def compartment(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """Type -> parameter codes that put a resource into the compartment; empty where R4 has no such compartment."""
        return self._compartments.get(name, {})

    def resource(self, canonical: str) -> dict[str, Any] | None:
        """The package resource with this canonical URL, which may name a |version; None if there is none."""
        return self._by_url.get(canonical)

    def all(self, resource_type: str) -> list[dict[str, Any]]:
        """Every package resource of a type, in the order of folders and file names."""
        return self._by_type.get(resource_type, [])

    def element(self, path: str) -> Element | None:
        """The R4 element at a path such as Patient.contact.name.family; None if R4 has no such element."""
        return self.elements.at(path)


def load(folders: Sequence[Path] = ()) -> Definitions:
    """R4's definitions and those of the package folders; where two define the same, the later folder holds."""
    return Definitions(_core(), (resource for folder in (_core(), *folders) for resource in _package(folder)))


@cache
def core_elements() -> ElementTable:
    """R4's elements, read once."""
    return ElementTable(_read(_core() / "elements.json"), _read(_core() / "required-codes.json"))


@cache
def type_numbers() -> Mapping[str, int]:
    """Resource type -> its small number, which stands in stored rows and never changes."""
    return MappingProxyType(_read(_core() / "types.json"))


def type_number(kind: str) -> int:
    """The stable small number of a resource type; KeyError if R4 has no such type."""
    return type_numbers()[kind]


@cache
def type_names() -> Mapping[int, str]:
    """The resource type behind each small number."""
    return MappingProxyType({number: kind for kind, number in type_numbers().items()})


def _core() -> Path:
    return data_folder("profiles") / "r4-core"


def _read(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def _package(folder: Path) -> Iterable[dict[str, Any]]:
    for path in sorted(folder.glob("*-*.json")):
        if path.name.partition("-")[0] in PACKAGE_TYPES:
            yield _read(path)


def _from_row(row: Sequence[Any]) -> SearchParam:
    code, kind, url, bases, expression, targets, components = row
    return SearchParam(code, kind, expression, tuple(targets), url, tuple(bases), tuple(map(tuple, components)))


def search_param(r: Mapping[str, Any]) -> SearchParam:
    """The parameter that a SearchParameter resource defines."""
    components = tuple((c["definition"], c["expression"]) for c in r.get("component", ()))
    return SearchParam(
        r["code"], r["type"], r["expression"], tuple(r.get("target", ())), r["url"], tuple(r["base"]), components
    )


def _params_by_type(types: Sequence[str], params: Sequence[SearchParam]) -> dict[str, Mapping[str, SearchParam]]:
    bases: dict[str, dict[str, SearchParam]] = {}
    for param in params:
        for base in param.types:
            bases.setdefault(base, {})[param.code] = replace(param, expression=part_for(base, param.expression))
    common = {**bases.get("Resource", {}), **bases.get("DomainResource", {})}
    return {kind: MappingProxyType({**common, **bases.get(kind, {})}) for kind in types}


def part_for(base: str, expression: str) -> str:
    """The alternatives of an expression that start at `base`; the whole expression if none names it."""
    parts = _alternatives(expression)
    mine = [part for part in parts if part == base or part.lstrip("(").startswith(f"{base}.")]
    return " | ".join(mine) if mine else expression


def _alternatives(expression: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, sign in enumerate(expression):
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and depth == 0:
            parts.append(expression[start:index].strip())
            start = index + 1
    return [*parts, expression[start:].strip()]
