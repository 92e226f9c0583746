"""A profile's tree of rules, compiled once into functions over parsed JSON.

https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.fhir.errors import Issue
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding, invariant
from fhir_server.validation.profile_cardinality import (
    Check,
    Issues,
    Slice,
    choice,
    members,
    present,
    repeating,
    single,
    slices,
    together,
)
from fhir_server.validation.profile_tree import BASE, Node, tree
from fhir_server.validation.profile_words import broken
from fhir_server.validation.slicing import Predicate, matcher, predicate

_LONGEST_ECHO: Final = 64
_SAYS_NOTHING_MORE: Final = frozenset({"id", "path", "short", "definition", "comment", "min", "mustSupport"})
_REFERENCE_PARTS: Final = 2


class Compiler:
    """Compiles definitions with what is installed; extensions and profiles are found by their canonical URLs."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._terminology = terminology

    def compile(self, definition: Mapping[str, Any]) -> Check:
        """One function that checks a whole resource, or an extension, against its definition."""
        return together(self._rules(tree(definition, self._definitions)))

    # ---- an element's value
    def _rules(self, node: Node) -> list[Check]:
        """What is asked of one value of an element: fixed value or pattern, targets, codes, invariants, children."""
        rules = [*_fixed(node), *self._targets(node), *self._bound(node), *_invariants(node)]
        fields = [check for child in node.children.values() for check in self._field(child)]
        return [*rules, members(fields)] if fields else rules

    def _targets(self, node: Node) -> list[Check]:
        wanted = {
            self._type_of(target)
            for kind in node.rules.get("type", ())
            if kind.get("code") == "Reference"
            for target in kind.get("targetProfile", ())
        }
        return [_reference_to(frozenset(wanted))] if wanted and "Resource" not in wanted else []

    def _type_of(self, canonical: str) -> str:
        definition = self._definitions.resource(canonical)
        if definition is not None:
            return str(definition["type"])
        return canonical.removeprefix(BASE) if canonical.startswith(BASE) else "Resource"

    def _bound(self, node: Node) -> list[Check]:
        bound = node.rules.get("binding", {})
        if bound.get("strength") not in ("required", "extensible") or "valueSet" not in bound:
            return []
        return [_bound_to(self._terminology, bound["valueSet"], required=bound["strength"] == "required")]

    # ---- an element within its parent
    def _field(self, node: Node) -> list[Check]:
        element = self._definitions.element(node.path)
        if element is not None and element.choice:
            return self._choice(node, element)
        return [self._plain(node, repeats=element is None or element.max != 1)]

    def _plain(self, node: Node, *, repeats: bool) -> Check:
        least, most = int(node.rules.get("min", 0)), _most(node)
        rules = self._rules(node)
        sliced = self._sliced(node) if node.slices else None
        if least == 1 and most is None and not rules and sliced is None:
            return present(node.name)
        if not repeats:
            return single(node.name, least, most, rules)
        return repeating(node.name, least, most, rules, sliced)

    def _choice(self, node: Node, element: Element) -> list[Check]:
        """value[x]: how often, as which types, and the rules of each type; rules without a type are those of all."""
        kinds = [kind["code"] for kind in node.rules.get("type", ())]
        allowed = {name for name, code in element.json_names.items() if not kinds or code in kinds}
        least, most = int(node.rules.get("min", 0)), _most(node)
        stem = node.name.removesuffix("[x]")
        checks = [choice(stem, tuple(element.json_names), frozenset(allowed), least, most)]
        if shared := self._rules(node):
            checks += [single(name, 0, None, shared, stem) for name in allowed]
        for one in node.slices.values():
            for name, code in element.json_names.items():
                if code in [kind["code"] for kind in one.rules.get("type", ())]:
                    checks.append(single(name, int(one.rules.get("min", 0)), _most(one), self._rules(one), stem))
        return checks

    def _of_slice(self, node: Node, slicing: Mapping[str, Any]) -> Check | None:
        rules = self._rules(_beyond(node, slicing))
        return together(rules) if rules else None

    def _sliced(self, node: Node) -> Check | None:
        slicing = node.rules.get("slicing", {})
        found = [
            Slice(name, test, int(one.rules.get("min", 0)), _most(one), self._of_slice(one, slicing))
            for name, one in node.slices.items()
            if "/" not in name and (test := predicate(one, slicing, self._terminology)) is not None
        ]
        whole = len(found) == len(node.slices)
        return slices(found, closed=whole and slicing.get("rules") == "closed") if found else None


def _beyond(node: Node, slicing: Mapping[str, Any]) -> Node:
    """A slice without the children that its discriminators have already matched."""
    told = {one["path"] for one in slicing.get("discriminator", ()) if one["type"] in ("value", "pattern")}
    children = {name: child for name, child in node.children.items() if name not in told or not _only_matched(child)}
    return Node(node.name, node.path, node.rules, children, node.slices)


def _only_matched(node: Node) -> bool:
    says_more = any(
        key not in _SAYS_NOTHING_MORE and not key.startswith("pattern") and not key.startswith("fixed")
        for key, value in node.rules.items()
    )
    return not (says_more or node.children or node.slices or node.value() is None)


def _most(node: Node) -> int | None:
    most = node.rules.get("max", "*")
    return None if most == "*" else int(most)


# ---- values
def _fixed(node: Node) -> list[Check]:
    found = node.value()
    if found is None:
        return []
    kind, wanted = found
    test: Predicate = matcher(wanted) if kind == "pattern" else lambda value: bool(value == wanted)
    need = _said(wanted)

    def check(value: Any, where: str, issues: Issues) -> None:
        if not test(value):
            issues.append(broken(where, f"The profile asks for {need} here. Send it, or leave out the profile."))

    return [check]


def _said(wanted: Any) -> str:
    """A value in a reader's words: a code with its system, or the plain value."""
    pairs = [f"{system}|{code}" if system else code for system, code in binding.codings(wanted)]
    return " and ".join(pairs) or str(wanted)


def _reference_to(wanted: frozenset[str]) -> Check:
    names = " or ".join(sorted(wanted))

    def check(value: Any, where: str, issues: Issues) -> None:
        found = _target(value) if isinstance(value, dict) else None
        if found is not None and found not in wanted:
            issues.append(broken(f"{where}.reference", f"The reference must name a {names}, not a {found}."))

    return check


def _target(reference: Mapping[str, Any]) -> str | None:
    """The type that a reference names; None for a contained resource, a urn, or an address that does not tell."""
    parts = str(reference.get("reference", "")).partition("/_history/")[0].split("/")
    if len(parts) >= _REFERENCE_PARTS and parts[-2][:1].isupper() and parts[-2].isalpha():
        return parts[-2]
    kind = reference.get("type")
    return kind if isinstance(kind, str) and "reference" not in reference else None


def _bound_to(terminology: Terminology, value_set: str, *, required: bool) -> Check:
    def check(value: Any, where: str, issues: Issues) -> None:
        if not binding.holds(terminology, value_set, value, required=required):
            found = ", ".join(code[:_LONGEST_ECHO] for _, code in binding.codings(value)) or "no code at all"
            text = f"{where} holds {found}, which is not in the value set {value_set}. Use a code from it."
            issues.append(Issue("code-invalid", text, where))

    return check


def _invariants(node: Node) -> list[Check]:
    return [
        _invariant(rule, one)
        for one in node.rules.get("constraint", ())
        if one.get("severity") == "error" and not str(one.get("source", "")).startswith(BASE)
        if (rule := invariant.compile(one["expression"])) is not None
    ]


def _invariant(rule: invariant.Rule, constraint: Mapping[str, Any]) -> Check:
    text, key = str(constraint["human"]).rstrip("."), constraint["key"]

    def check(value: Any, where: str, issues: Issues) -> None:
        if not rule(value):
            issues.append(broken(where, f"{text} (rule {key})."))

    return check
