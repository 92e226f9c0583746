"""Validation against the profiles that a resource claims or a rule requires.

https://hl7.org/fhir/R4/profiling.html#resources
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from fhir_server.fhir.contents import compact, count_extensions
from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import Issue
from fhir_server.terminology.codes import Terminology
from fhir_server.validation.profile_cardinality import Check
from fhir_server.validation.profile_compile import Compiler
from fhir_server.validation.profile_gate import Gate, compile_gate
from fhir_server.validation.profile_tree import BASE, tree

MOST_ISSUES: Final = 50
_EXTENDING: Final = frozenset({"extension", "modifierExtension"})

Trail = tuple["Trail", str, int] | None
"""The way down to an element, kept as links and written out only if something is wrong with it."""


class _Profile(NamedTuple):
    """A compiled profile or extension: what it is for, its fast gate, and the checks that find what is wrong."""

    type: str
    gate: Gate
    check: Check


class ProfileValidator:
    """Holds every profile and extension compiled once, on first use."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._compiler = Compiler(definitions, terminology)
        self._terminology = terminology
        self._compiled: dict[str, _Profile] = {}
        self._extensions = frozenset(
            one["url"] for one in definitions.all("StructureDefinition") if one.get("type") == "Extension"
        )

    def check(
        self, type: str, resource: Mapping[str, Any], required: Sequence[str] = (), text: bytes = b""
    ) -> list[Issue]:
        """What is wrong under the profiles in meta.profile and those required, at most 50 issues; empty if nothing.

        `text` is the resource as compact JSON, where it is known already.

        Codes: invariant (a rule or cardinality), code-invalid (a binding), extension (a modifierExtension that nobody
        here understands), not-supported (a claimed profile that is not installed).
        """
        issues: list[Issue] = []
        claimed = resource.get("meta", {}).get("profile", ())
        for index, canonical in enumerate(claimed):
            self._conform(type, resource, canonical, f"{type}.meta.profile[{index}]", issues)
        for canonical in required:
            if canonical not in claimed:
                self._conform(type, resource, canonical, type, issues)
        for trail, name, extension in _extensions(resource, text or compact(resource)):
            self._extension(type, trail, name, extension, issues)
        return issues[:MOST_ISSUES]

    def _conform(self, type: str, resource: Mapping[str, Any], canonical: str, where: str, issues: list[Issue]) -> None:
        if canonical.startswith(BASE) and canonical.removeprefix(BASE) == type:
            return
        if (found := self._profile(canonical)) is None:
            text = f"{where}: the profile {canonical[:128]} is not known here. Remove it, or ask to have it installed."
            issues.append(Issue("not-supported", text, where))
        elif found.type != type:
            issues.append(Issue("invariant", f"{where}: the profile {canonical[:128]} is for {found.type}.", where))
        elif not found.gate(resource):
            found.check(resource, type, issues)

    def _profile(self, canonical: str) -> _Profile | None:
        if canonical not in self._compiled:
            definition = self._definitions.resource(canonical)
            if definition is None or definition["resourceType"] != "StructureDefinition":
                return None  # not remembered: a caller could fill the memory with inventions
            root = tree(definition, self._definitions)
            gate = compile_gate(root, self._definitions, self._terminology)
            self._compiled[canonical] = _Profile(definition["type"], gate, self._compiler.compile(root))
        return self._compiled[canonical]

    def _extension(self, type: str, trail: Trail, name: str, extension: Mapping[str, Any], issues: list[Issue]) -> None:
        url = extension.get("url", "")
        if url in self._extensions and (found := self._profile(url)):
            if not found.gate(extension):
                found.check(extension, _written(type, trail), issues)
        elif name == "modifierExtension":
            where = _written(type, trail)
            text = f"{where}: this server does not understand {str(url)[:64]}, which changes the meaning. Remove it."
            issues.append(Issue("extension", text, where))


def _extensions(resource: Mapping[str, Any], text: bytes) -> list[tuple[Trail, str, Mapping[str, Any]]]:
    """Every extension of a resource; most resources have them at the top only, or none."""
    number = count_extensions(text)
    if not number:
        return []
    top = {name: resource[name] for name in _EXTENDING & resource.keys()}
    found: list[tuple[Trail, str, Mapping[str, Any]]] = []
    _collect(resource if number > count_extensions(compact(top)) else top, None, found)
    return found


def _collect(value: Mapping[str, Any], trail: Trail, found: list[tuple[Trail, str, Mapping[str, Any]]]) -> None:
    """Adds every extension anywhere in a value, with its trail and the name of the member it stands in."""
    for key, item in value.items():
        kind = type(item)
        if kind is dict:
            _collect(item, (trail, key, -1), found)
        elif kind is list:
            marked = key in _EXTENDING
            for index, one in enumerate(item):
                if type(one) is dict:
                    below = (trail, key, index)
                    if marked:
                        found.append((below, key, one))
                    _collect(one, below, found)


def _written(type: str, trail: Trail) -> str:
    parts: list[str] = []
    while trail is not None:
        trail, key, index = trail
        name = key.removeprefix("_")
        parts.append(name if index < 0 else f"{name}[{index}]")
    return ".".join([type, *reversed(parts)])
