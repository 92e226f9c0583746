"""A profile's tree of rules, compiled once into functions over parsed JSON.

https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.fhir.errors import Issue
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding, invariant
from fhir_server.validation.profile_tree import BASE, Node, tree
from fhir_server.validation.profile_words import broken, too_few, too_many
from fhir_server.validation.slicing import Predicate, listed, matches, predicate

Issues = list[Issue]
Check = Callable[[Any, str, Issues], None]
"""Takes a value and its FHIRPath, and adds what is wrong with it to the issues."""

_LONGEST_ECHO: Final = 64
_REFERENCE_PARTS: Final = 2


class Compiler:
    """Compiles definitions with what is installed; extensions and profiles are found by their canonical URLs."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._terminology = terminology

    def compile(self, definition: Mapping[str, Any]) -> Check:
        """One function that checks a whole resource, or an extension, against its definition."""
        return _together(self._rules(tree(definition, self._definitions)))

    # ---- an element's value
    def _rules(self, node: Node) -> list[Check]:
        """What is asked of one value of an element: fixed value or pattern, targets, codes, invariants, children."""
        rules = [*_fixed(node), *self._targets(node), *self._bound(node), *_invariants(node)]
        for child in node.children.values():
            rules += self._field(child)
        return rules

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
            return _present(node.name)
        if not repeats:
            return _single(node.name, least, most, rules)
        return _repeating(node.name, least, most, rules, sliced)

    def _choice(self, node: Node, element: Element) -> list[Check]:
        """value[x]: how often, as which types, and the rules of each type; rules without a type are those of all."""
        kinds = [kind["code"] for kind in node.rules.get("type", ())]
        allowed = {name for name, code in element.json_names.items() if not kinds or code in kinds}
        least, most = int(node.rules.get("min", 0)), _most(node)
        stem = node.name.removesuffix("[x]")
        checks = [_choice(stem, tuple(element.json_names), frozenset(allowed), least, most)]
        if shared := self._rules(node):
            checks += [_single(name, 0, None, shared, stem) for name in allowed]
        for one in node.slices.values():
            for name, code in element.json_names.items():
                if code in [kind["code"] for kind in one.rules.get("type", ())]:
                    checks.append(_single(name, int(one.rules.get("min", 0)), _most(one), self._rules(one), stem))
        return checks

    def _sliced(self, node: Node) -> Check | None:
        slicing = node.rules.get("slicing", {})
        slices = [
            _Slice(name, test, int(one.rules.get("min", 0)), _most(one), _together(self._rules(one)))
            for name, one in node.slices.items()
            if "/" not in name and (test := predicate(one, slicing, self._terminology)) is not None
        ]
        whole = len(slices) == len(node.slices)
        return _slices(slices, closed=whole and slicing.get("rules") == "closed") if slices else None


class _Slice:
    """One slice, ready to be matched and counted."""

    __slots__ = ("check", "least", "most", "name", "test")

    def __init__(self, name: str, test: Predicate, least: int, most: int | None, check: Check) -> None:
        self.name, self.test, self.least, self.most, self.check = name, test, least, most, check


def _most(node: Node) -> int | None:
    most = node.rules.get("max", "*")
    return None if most == "*" else int(most)


def _together(rules: Sequence[Check]) -> Check:
    if len(rules) == 1:
        return rules[0]

    def check(value: Any, where: str, issues: Issues) -> None:
        for rule in rules:
            rule(value, where, issues)

    return check


# ---- cardinality
def _present(name: str) -> Check:
    extended = f"_{name}"

    def check(parent: Any, where: str, issues: Issues) -> None:
        if name not in parent and extended not in parent:
            issues.append(too_few(f"{where}.{name}", 0, 1))

    return check


def _single(name: str, least: int, most: int | None, rules: Sequence[Check], stem: str = "") -> Check:
    """An element that occurs once; one form of a choice is called by the `stem`, as FHIRPath does."""
    extended, check_value, called = f"_{name}", _together(rules), stem or name

    def check(parent: Any, where: str, issues: Issues) -> None:
        value = parent.get(name)
        if value is None:
            if least and extended not in parent:
                issues.append(too_few(f"{where}.{called}", 0, least))
        elif most == 0:
            issues.append(too_many(f"{where}.{called}", 1, 0))
        else:
            check_value(value, f"{where}.{called}", issues)

    return check


def _repeating(name: str, least: int, most: int | None, rules: Sequence[Check], sliced: Check | None) -> Check:
    extended, check_value = f"_{name}", _together(rules) if rules else None

    def check(parent: Any, where: str, issues: Issues) -> None:
        values = listed(parent.get(name))
        count = max(len(values), len(parent[extended])) if extended in parent else len(values)
        at = f"{where}.{name}"
        if count < least:
            issues.append(too_few(at, count, least))
        elif most is not None and count > most:
            issues.append(too_many(at, count, most))
        if check_value is not None:
            for index, value in enumerate(values):
                if value is not None:
                    check_value(value, f"{at}[{index}]", issues)
        if sliced is not None:
            sliced(values, at, issues)

    return check


def _choice(stem: str, names: Sequence[str], allowed: frozenset[str], least: int, most: int | None) -> Check:
    def check(parent: Any, where: str, issues: Issues) -> None:
        found = next((one for one in names if one in parent or f"_{one}" in parent), None)
        if found is None:
            if least:
                issues.append(too_few(f"{where}.{stem}", 0, least))
        elif most == 0:
            issues.append(too_many(f"{where}.{stem}", 1, 0))
        elif found not in allowed:
            kinds = ", ".join(sorted(allowed))
            issues.append(broken(f"{where}.{stem}", f"{found} is not one of the forms allowed here. Use: {kinds}."))

    return check


def _slices(slices: Sequence[_Slice], *, closed: bool) -> Check:
    def check(values: Any, where: str, issues: Issues) -> None:
        counts = [0] * len(slices)
        for index, value in enumerate(values):
            place = next((n for n, one in enumerate(slices) if value is not None and one.test(value)), None)
            if place is not None:
                counts[place] += 1
                slices[place].check(value, f"{where}[{index}]", issues)
            elif closed and value is not None:
                issues.append(broken(f"{where}[{index}]", "This entry is none of those that the profile allows here."))
        for one, count in zip(slices, counts, strict=True):
            if count < one.least:
                issues.append(too_few(where, count, one.least, one.name))
            elif one.most is not None and count > one.most:
                issues.append(too_many(where, count, one.most, one.name))

    return check


# ---- values
def _fixed(node: Node) -> list[Check]:
    found = node.value()
    if found is None:
        return []
    kind, wanted = found

    def check(value: Any, where: str, issues: Issues) -> None:
        if not matches(wanted, value) or (kind == "fixed" and value != wanted):
            need = _said(wanted)
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
