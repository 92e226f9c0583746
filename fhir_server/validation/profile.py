"""Validation against the profiles that a resource claims or a rule requires.

https://hl7.org/fhir/R4/profiling.html#resources
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fhir_server.fhir.contents import compact, count_extensions
from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import Issue
from fhir_server.terminology.codes import Terminology
from fhir_server.validation.extension_context import Contexts, Steps
from fhir_server.validation.findings import Findings, Target
from fhir_server.validation.profile_advice import Advisor
from fhir_server.validation.profile_cardinality import Check
from fhir_server.validation.profile_compile import Compiler
from fhir_server.validation.profile_gate import Gate, compile_gate
from fhir_server.validation.profile_tree import BASE, Node, tree
from fhir_server.validation.profile_words import ending

MOST_ISSUES: Final = 50
_EXTENDING: Final = frozenset({"extension", "modifierExtension"})
_HOLDING: Final = frozenset({"Bundle", "Parameters"})
_DEEPEST: Final = 24  # resources within a resource that lead to each other are followed so far

Trail = tuple["Trail", str, int] | None
"""The way down to an element, kept as links and written out only if something is wrong with it."""


class _Profile(NamedTuple):
    """A compiled profile or extension: what it is for, its rules, its fast gate, and the checks that find words."""

    type: str
    root: Node
    gate: Gate
    check: Check

    @property
    def modifies(self) -> bool:
        """Whether it is an extension that changes the meaning of what holds it."""
        return bool(self.root.rules.get("isModifier"))


class Advice(NamedTuple):
    """What is not wrong and worth knowing, and the references whose targets must keep profiles."""

    issues: list[Issue]
    targets: list[Target]


class ProfileValidator:
    """Holds every profile and extension compiled once, on first use."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._compiler = Compiler(definitions, terminology, self)
        self._advisor = Advisor(definitions, terminology, self)
        self._contexts = Contexts(definitions)
        self._terminology = terminology
        self._compiled: dict[str, _Profile] = {}
        self._advice: dict[str, Check] = {}
        self._trees: dict[str, Node] = {}
        self._extensions = frozenset(
            one["url"] for one in definitions.all("StructureDefinition") if one.get("type") == "Extension"
        )

    def check(
        self, type: str, resource: Mapping[str, Any], required: Sequence[str] = (), text: bytes = b"", now: int = 0
    ) -> list[Issue]:
        """What is wrong under the profiles in meta.profile, inner resources' too, and those required; at most 50.

        `text` is the resource as compact JSON, where it is known already; `now` the instant in milliseconds, without
        which limits that move with the clock are not asked.

        Codes: invariant (a rule or cardinality), code-invalid (a binding), extension (one that stands where it is not
        for, or a modifierExtension that nobody here understands), not-supported (a claimed profile is not installed).
        """
        return self._checked(type, resource, required, text, now)[:MOST_ISSUES]

    def advise(self, type: str, resource: Mapping[str, Any], required: Sequence[str] = (), now: int = 0) -> Advice:
        """What the profiles recommend, and what cannot be told here, as warnings and information; nothing is refused.

        `targets` are references to other resources, each with the profiles of which its target must keep one.
        """
        found, advised = self._checked(type, resource, required, now=now), Findings(resource, now)
        for canonical in dict.fromkeys([*resource.get("meta", {}).get("profile", ()), *required]):
            profile = self._profile(canonical)
            if profile is not None and profile.type == type:
                if canonical not in self._advice:
                    self._advice[canonical] = self._advisor.compile(profile.root)
                self._advice[canonical](resource, type, advised)
                profile.check(resource, type, found)  # the gate passes what is right without gathering its targets
        return Advice(list(dict.fromkeys(advised))[:MOST_ISSUES], list(dict.fromkeys(found.elsewhere)))

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile is for; None if it is not installed."""
        definition = self._definitions.resource(canonical)
        return definition["type"] if definition and definition["resourceType"] == "StructureDefinition" else None

    def tree_of(self, canonical: str) -> Node | None:
        """The rules of a profile; None if it is not installed."""
        if canonical not in self._trees:
            definition = self._definitions.resource(canonical)
            if definition is None or definition["resourceType"] != "StructureDefinition":
                return None  # not remembered: a caller could fill the memory with inventions
            self._trees[canonical] = tree(definition, self._definitions)
        return self._trees[canonical]

    def conforms(self, canonical: str, value: Any, findings: Findings) -> bool:
        """Whether a value keeps a profile; so does everything if it is not installed, and what is being checked now."""
        found, key = self._profile(canonical), (canonical, id(value))
        if found is None or key in findings.entered or len(findings.entered) >= _DEEPEST:
            return True
        if key not in findings.verdicts:
            findings.entered.add(key)
            findings.verdicts[key] = self._keeps(found, value, findings)
            findings.entered.discard(key)
        return findings.verdicts[key]

    def _keeps(self, found: _Profile, value: Any, findings: Findings) -> bool:
        if isinstance(value, dict) and value.get("resourceType", found.type) != found.type:
            return False
        inner = findings.within(value)
        if findings.in_bundle or not found.gate(value):
            found.check(value, found.type, inner)
        return not inner

    def explain(self, canonical: str, value: Any, where: str, findings: Findings) -> None:
        """Adds what is wrong with a value under a profile."""
        found, inner = self._profile(canonical), findings.inside(value)
        if found is not None:
            found.check(value, where, inner)
            findings += inner

    def _checked(
        self, type: str, resource: Mapping[str, Any], required: Sequence[str], text: bytes = b"", now: int = 0
    ) -> Findings:
        issues = Findings(resource, now)
        claimed = self._claims(type, resource, type, issues)
        for canonical in required:
            if canonical not in claimed:
                self._conform(type, resource, canonical, type, type, issues)
        if "contained" in resource or type in _HOLDING:
            self._inner_claims(type, resource, issues)
        for trail, name, extension in _extensions(resource, text or compact(resource)):
            self._extension(type, trail, name, extension, issues)
        return issues

    def _inner_claims(self, type: str, resource: Mapping[str, Any], issues: Findings) -> None:
        """Holds what is contained, and the resources of a Bundle's entries or of Parameters, to what they claim."""
        waiting: list[tuple[str, Mapping[str, Any], Findings]] = [(type, resource, issues)]
        while waiting and len(issues) < MOST_ISSUES:
            at, holder, findings = waiting.pop()
            for place, inner in _inner(holder, at):
                over = findings.inside(inner)
                self._claims(inner["resourceType"], inner, place, over)
                issues += over
                if "contained" in inner or inner["resourceType"] in _HOLDING:
                    waiting.append((place, inner, over))

    def _claims(self, type: str, resource: Mapping[str, Any], at: str, issues: Findings) -> Sequence[str]:
        """Holds a resource to the profiles in its meta.profile, which it answers."""
        claimed: Sequence[str] = resource.get("meta", {}).get("profile", ())
        for index, canonical in enumerate(claimed):
            self._conform(type, resource, canonical, at, f"{at}.meta.profile[{index}]", issues)
        return claimed

    def _conform(  # the place of the resource, and that of the claim
        self, type: str, resource: Mapping[str, Any], canonical: str, at: str, where: str, issues: Findings
    ) -> None:
        if canonical.startswith(BASE) and canonical.removeprefix(BASE) == type:
            return
        if (found := self._profile(canonical)) is None:
            text = (
                f"{where}: the profile {ending(canonical)} is not known here. Remove it, or ask to have it installed."
            )
            issues.append(Issue("not-supported", text, where))
        elif found.type != type:
            issues.append(Issue("invariant", f"{where}: the profile {ending(canonical)} is for {found.type}.", where))
        elif issues.in_bundle or not found.gate(resource):  # the gate does not look into other entries
            found.check(resource, at, issues)

    def _profile(self, canonical: str) -> _Profile | None:
        if canonical not in self._compiled:
            root = self.tree_of(canonical)
            if root is None:
                return None
            gate = compile_gate(root, self._definitions, self._terminology, self)
            self._compiled[canonical] = _Profile(root.path, root, gate, self._compiler.compile(root))
        return self._compiled[canonical]

    def _extension(self, type: str, trail: Trail, name: str, extension: Mapping[str, Any], issues: Findings) -> None:
        url = extension.get("url", "")
        if url in self._extensions and (found := self._profile(url)):
            at = _steps(trail)
            wrong = _in_wrong_member(found, url, name) or self._contexts.missed(url, type, at, issues, extension)
            if wrong:
                where = _written(type, trail)
                issues.append(Issue("extension", f"{where}: {wrong}", where))
            if not found.gate(extension):
                found.check(extension, _written(type, trail), issues)
        elif name == "modifierExtension":
            where = _written(type, trail)
            text = f"{where}: this server does not understand {str(url)[:64]}, which changes the meaning. Remove it."
            issues.append(Issue("extension", text, where))


def _in_wrong_member(found: _Profile, url: str, name: str) -> str:
    """In words, if what changes the meaning is sent as if it did not, or the other way round."""
    right = "modifierExtension" if found.modifies else "extension"
    return "" if right == name else f"{url[:128]} is sent as {right}, not as {name}. Move it there."


def _inner(holder: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a resource contains, or the resources in a Bundle's entries or in Parameters, each with its place."""
    for number, one in enumerate(holder.get("contained", ())):
        yield f"{at}.contained[{number}]", one
    for number, entry in enumerate(holder.get("entry", ()) if holder.get("resourceType") == "Bundle" else ()):
        if "resource" in entry:
            yield f"{at}.entry[{number}].resource", entry["resource"]
    parts = [(f"{at}.parameter", holder.get("parameter", ()))] if holder.get("resourceType") == "Parameters" else []
    while parts:
        place, some = parts.pop()
        for number, part in enumerate(some):
            if "resource" in part:
                yield f"{place}[{number}].resource", part["resource"]
            if "part" in part:
                parts.append((f"{place}[{number}].part", part["part"]))


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


def _steps(trail: Trail) -> Steps:
    """The way down to what holds the extension: hardly ever a long one."""
    if trail is None or trail[0] is None:
        return ()
    trail, steps = trail[0], []
    while trail is not None:
        trail, key, index = trail
        steps.append((key, index))
    return tuple(reversed(steps))


def _written(type: str, trail: Trail) -> str:
    parts: list[str] = []
    while trail is not None:
        trail, key, index = trail
        name = key.removeprefix("_")
        parts.append(name if index < 0 else f"{name}[{index}]")
    return ".".join([type, *reversed(parts)])
