"""A profile's tree of rules, compiled once into functions over parsed JSON that find what is wrong, and its words.

https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.fhir.errors import Issue
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding, invariant, limits, matching, profile_rules
from fhir_server.validation.findings import Target, named_type
from fhir_server.validation.profile_cardinality import (
    Check,
    Issues,
    Slice,
    Sliced,
    choice,
    members,
    present,
    repeating,
    single,
    slices,
    together,
)
from fhir_server.validation.profile_rules import cardinality
from fhir_server.validation.profile_tree import Node
from fhir_server.validation.profile_words import LONGEST_ECHO, broken, off_profile
from fhir_server.validation.slicing import Order, Profiles

_MOST_SAID: Final = 3


class Compiler:
    """Compiles definitions with what is installed; extensions and profiles are found by their canonical URLs."""

    def __init__(self, definitions: Definitions, terminology: Terminology, profiles: Profiles) -> None:
        self._definitions = definitions
        self._terminology = terminology
        self._profiles = profiles

    def compile(self, root: Node) -> Check:
        """One function that checks a whole resource, or an extension, against its tree of rules."""
        return together(self._rules(root, None, root.path))

    # ---- an element's value
    def _rules(self, node: Node, element: Element | None, kind: str = "") -> list[Check]:
        """What is asked of one value of an element, as a value of a type: fixed value, targets, codes, children."""
        rules = [*_fixed(node), *_limited(node), *self._targets(node), *self._profiled(node, element, kind)]
        rules += [*self._bound(node), *_invariants(node, kind, self._terminology)]
        holder = profile_rules.holder_of(node, element, kind)
        fields = [check for child in node.children.values() for check in self._field(child, holder)]
        return [*rules, members(fields)] if fields else rules

    def _targets(self, node: Node) -> list[Check]:
        wanted = profile_rules.target_types(node, self._definitions)
        profiles = profile_rules.target_profiles(node, self._definitions)
        ways = profile_rules.aggregation(node)
        found = [_reference_to(wanted, profiles, self._profiles)] if wanted or profiles else []
        return [*found, _reached_by(ways)] if ways else found

    def _profiled(self, node: Node, element: Element | None, kind: str) -> list[Check]:
        kinds = profile_rules.resource_types(node, element)
        form = kind if element is not None and element.choice else ""
        urls = profile_rules.value_profiles(node, self._definitions, form)
        return [*([_of_types(kinds)] if kinds else []), *([_keeps_one(urls, self._profiles)] if urls else [])]

    def _bound(self, node: Node) -> list[Check]:
        found = profile_rules.bindings(node)
        return [_bound_to(self._terminology, value_set, required=required) for value_set, required in found]

    # ---- an element within its parent
    def _field(self, node: Node, holder: str) -> list[Check]:
        element = profile_rules.element_of(node, holder, self._definitions)
        if element is not None and element.choice:
            return self._choice(node, element)
        return [self._plain(node, element)]

    def _plain(self, node: Node, element: Element | None) -> Check:
        least, most = cardinality(node)
        rules = self._rules(node, element, profile_rules.kind_of(element))
        sliced = self._sliced(node, element) if node.slices else None
        if least == 1 and most is None and not rules and sliced is None:
            return present(node.name)
        if element is not None and not element.repeats:
            return single(node.name, least, most, rules, sliced=sliced)
        return repeating(node.name, least, most, rules, sliced)

    def _choice(self, node: Node, element: Element) -> list[Check]:
        """value[x]: how often, as which types, and the rules of each type; rules without a type are those of all."""
        found = profile_rules.forms(node, element)
        stem = node.name.removesuffix("[x]")
        checks = [choice(stem, tuple(element.json_names), found.allowed, *cardinality(node))]
        for name in sorted(found.allowed):
            shared = self._rules(node, element, element.json_names[name])
            checks += [single(name, 0, None, shared, stem)] if shared else []
        for name, one in found.single:
            rules = self._rules(one, element, element.json_names[name])
            checks.append(single(name, *profile_rules.form_cardinality(one, found), rules, stem))
        for name, some in found.several.items():
            checks.append(single(name, 0, None, [], stem, self._of_form(node, some, element, element.json_names[name])))
        return checks

    def _of_form(self, node: Node, some: Mapping[str, Node], element: Element, kind: str) -> Sliced | None:
        """The slices of one form of a choice."""
        told = profile_rules.slices_of_form(some, node, self._terminology, self._profiles)
        known = [
            Slice(name, test, *cardinality(one), together(self._rules(one, element, kind))) for name, one, test in told
        ]
        return slices(known, Order()) if known else None

    def _of_slice(self, node: Node, element: Element | None, slicing: Mapping[str, Any]) -> Check | None:
        rules = self._rules(profile_rules.beyond(node, slicing), element, profile_rules.kind_of(element))
        return together(rules) if rules else None

    def _sliced(
        self, node: Node, element: Element | None, within: str = "", outer: Mapping[str, Any] | None = None
    ) -> Sliced | None:
        found, order = profile_rules.slices(node, self._terminology, self._profiles, outer)
        slicing = node.rules.get("slicing", outer or {})
        known = [
            Slice(
                f"{within}{name}",
                test,
                *cardinality(one),
                self._of_slice(one, element, slicing),
                self._sliced(one, element, f"{within}{name}/", slicing) if one.slices else None,
            )
            for name, one, test in found
        ]
        return slices(known, order) if known else None


# ---- values
def _fixed(node: Node) -> list[Check]:
    return [_fits(kind, wanted) for kind, wanted in node.values()]


def _fits(kind: str, wanted: Any) -> Check:
    test = matching.fits(kind, wanted)
    need = _said(wanted)

    def check(value: Any, where: str, issues: Issues) -> None:
        if not test(value):
            text = f"The profile asks for {need} here, not {_said(value)[:LONGEST_ECHO]}."
            issues.append(broken(where, f"{text} Send it, or leave out the profile."))

    return check


def _limited(node: Node) -> list[Check]:
    return [_within(limit) for limit in limits.limits(node)]


def _within(limit: limits.Limit) -> Check:
    def check(value: Any, where: str, issues: Issues) -> None:
        if not limits.keeps(limit, value, issues.now):
            issues.append(broken(where, f"The profile allows {limit.allows(value)} here, not {limits.shown(value)}."))

    return check


def _said(value: Any) -> str:
    """A value in a reader's words: a code with its system, or the plain value."""
    pairs = [f"{system}|{code}" if system else str(code) for system, code in islice(binding.codings(value), _MOST_SAID)]
    plain = str(value.get("text", "another value")) if isinstance(value, Mapping) else str(value)
    return " and ".join(pairs) or plain


def _reference_to(wanted: frozenset[str], profiles: Mapping[str, tuple[str, ...]], others: Profiles) -> Check:
    names = " or ".join(sorted(wanted))

    def check(value: Any, where: str, issues: Issues) -> None:
        inner = issues.resolved(value)
        found = str(inner.get("resourceType")) if inner else named_type(value) if isinstance(value, dict) else None
        if found is None:
            return
        if wanted and found not in wanted:
            issues.append(broken(f"{where}.reference", f"The reference must name a {names}, not a {found}."))
        elif found in profiles and inner is None and "reference" in value:
            issues.elsewhere.append(Target(f"{where}.reference", value["reference"], profiles[found]))
        elif found in profiles and not any(others.conforms(url, inner, issues) for url in profiles[found]):
            issues.append(broken(f"{where}.reference", off_profile(found, profiles[found])))

    return check


def _reached_by(ways: frozenset[str]) -> Check:
    """How a reference may reach its target; whether that stands in a Bundle is told in the Bundle alone."""
    allowed = ", ".join(sorted(ways))

    def check(value: Any, where: str, issues: Issues) -> None:
        text = value.get("reference") if isinstance(value, dict) else None
        if isinstance(text, str) and not _is_reached(text, value, ways, issues):
            issues.append(broken(f"{where}.reference", f"The profile allows only these targets here: {allowed}."))

    return check


def _is_reached(text: str, value: Any, ways: frozenset[str], issues: Issues) -> bool:
    if text.startswith("#"):
        return "contained" in ways
    if "referenced" in ways or "bundled" not in ways:
        return "referenced" in ways
    return not issues.in_bundle or issues.resolved(value) is not None


def _of_types(kinds: frozenset[str]) -> Check:
    names = " or ".join(sorted(kinds))

    def check(value: Any, where: str, issues: Issues) -> None:
        if isinstance(value, dict) and value.get("resourceType") not in kinds:
            issues.append(broken(where, f"The profile asks for a {names} here."))

    return check


def _keeps_one(profiles: Sequence[str], others: Profiles) -> Check:
    def check(value: Any, where: str, issues: Issues) -> None:
        if any(others.conforms(url, value, issues) for url in profiles):
            return
        if len(profiles) == 1:
            others.explain(profiles[0], value, where, issues)
        else:
            issues.append(broken(where, f"It keeps none of the profiles asked for here: {', '.join(profiles[:3])}."))

    return check


def _bound_to(terminology: Terminology, value_set: str, *, required: bool) -> Check:
    def check(value: Any, where: str, issues: Issues) -> None:
        if not binding.holds(terminology, value_set, value, required=required):
            codes = islice(binding.codings(value), _MOST_SAID)
            found = ", ".join(str(code)[:LONGEST_ECHO] for _, code in codes) or "no code at all"
            text = f"{where} holds {found}, which is not in the value set {value_set}. Use a code from it."
            issues.append(Issue("code-invalid", text, where))

    return check


def _invariants(node: Node, kind: str, terminology: Terminology) -> list[Check]:
    return [_invariant(rule, one) for rule, one in profile_rules.invariants(node, kind, terminology)]


def _invariant(found: invariant.Compiled, constraint: Mapping[str, Any]) -> Check:
    text, key = str(constraint["human"]).rstrip("."), constraint["key"]

    def check(value: Any, where: str, issues: Issues) -> None:
        if found.holds(value, issues.surroundings()) is False:
            issues.append(broken(where, f"{text} (rule {key})."))

    return check
