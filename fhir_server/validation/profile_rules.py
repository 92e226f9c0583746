"""What a profile's tree says of one element, read the same way by the checks that find words and by the fast gate.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding, invariant
from fhir_server.validation.profile_tree import BASE, Node
from fhir_server.validation.slicing import Predicate, Profiles, Rooted, matcher, predicate

_SAYS_NOTHING_MORE: Final = frozenset({"id", "path", "short", "definition", "comment", "min", "mustSupport"})
_MOST_ALLOWED: Final = BASE + "elementdefinition-maxValueSet"
_BY_SERVER: Final = frozenset({"id", "meta", "meta.versionId", "meta.lastUpdated"})
_ANY_RESOURCE: Final = frozenset({"Resource", "DomainResource"})


def cardinality(node: Node) -> tuple[int, int | None]:
    """(least, most) occurrences; None for any number. What the server itself puts into a resource is never missing."""
    least, most = int(node.rules.get("min", 0)), node.rules.get("max", "*")
    by_server = node.path.partition(".")[2] in _BY_SERVER and node.path[:1].isupper()
    return 0 if by_server else least, None if most == "*" else int(most)


def fits(kind: str, wanted: Any) -> Predicate:
    """Whether a value is the fixed one, or has all that the pattern has."""
    return matcher(wanted) if kind == "pattern" else lambda value: bool(value == wanted)


def target_types(node: Node, definitions: Definitions) -> frozenset[str]:
    """The resource types that a Reference may name; none if any may be named."""
    wanted = {
        _type_of(target, definitions)
        for kind in node.rules.get("type", ())
        if kind.get("code") == "Reference"
        for target in kind.get("targetProfile", ())
    }
    return frozenset() if "Resource" in wanted else frozenset(wanted)


def _type_of(canonical: str, definitions: Definitions) -> str:
    definition = definitions.resource(canonical)
    if definition is not None:
        return str(definition["type"])
    return canonical.removeprefix(BASE) if canonical.startswith(BASE) else "Resource"


def target_profiles(node: Node, definitions: Definitions) -> Mapping[str, tuple[str, ...]]:
    """Type -> the installed profiles of which a target of that type must keep one; none for types that are free."""
    found: dict[str, list[str]] = {}
    free = set()
    for kind in node.rules.get("type", ()):
        for canonical in kind.get("targetProfile", ()) if kind.get("code") == "Reference" else ():
            definition = definitions.resource(canonical)
            if definition is None:
                free.add(_type_of(canonical, definitions))
            else:
                found.setdefault(definition["type"], []).append(canonical)
    return {} if "Resource" in free else {kind: tuple(urls) for kind, urls in found.items() if kind not in free}


def value_profiles(node: Node, definitions: Definitions) -> tuple[str, ...]:
    """The installed profiles of which the value itself must keep one: of a data type, or of an inner resource."""
    kinds = [kind for kind in node.rules.get("type", ()) if kind.get("code") not in ("Extension", "Reference")]
    named = [kind.get("profile", ()) for kind in kinds]
    if not all(named):
        return ()  # one of the types may come as it is
    urls = [url for some in named for url in some]
    return tuple(urls) if all(definitions.resource(url) is not None for url in urls) else ()


def resource_types(node: Node, definitions: Definitions) -> frozenset[str]:
    """The types that an inner resource may be of; none if any, or if the element holds no resource."""
    kinds = frozenset(kind.get("code") for kind in node.rules.get("type", ()))
    element = definitions.element(node.path)
    holds_resource = element is not None and "Resource" in element.types
    return frozenset() if not holds_resource or kinds & _ANY_RESOURCE else kinds


def bindings(node: Node) -> Iterator[tuple[str, bool]]:
    """(value set, whether a code must be in it) of the bindings that are enforced; a maximum value set binds always."""
    said = {} if node.name in ("extension", "modifierExtension") else node.rules.get("binding", {})
    if said.get("strength") in ("required", "extensible") and "valueSet" in said:
        yield said["valueSet"], said["strength"] == "required"
    for one in said.get("extension", ()):
        most = one.get("valueCanonical") or one.get("valueUri")
        if one.get("url") == _MOST_ALLOWED and most:
            yield most, True


def constraints(node: Node) -> Iterator[Mapping[str, Any]]:
    """The element's own invariants; those of base FHIR are asked elsewhere."""
    for one in node.rules.get("constraint", ()):
        if "expression" in one and not str(one.get("source", "")).startswith(BASE):
            yield one


def invariants(node: Node, kind: str, terminology: Terminology) -> Iterator[tuple[invariant.Rule, Mapping[str, Any]]]:
    """The element's own invariants that can be enforced, compiled for values of a type, each with its definition."""
    for one in constraints(node):
        if one.get("severity") == "error":
            rule = invariant.compile(one["expression"], kind, partial(binding.member, terminology))
            if rule is not None:
                yield rule, one


def kind_of(node: Node, definitions: Definitions) -> str:
    """The type of an element's value, or "" if it has several."""
    if "." not in node.path:
        return node.path
    element = definitions.element(node.path)
    return element.types[0] if element is not None and len(element.types) == 1 else ""


def forms(node: Node, element: Element) -> tuple[frozenset[str], Sequence[tuple[str, Node]]]:
    """Of value[x]: the forms that are allowed, and those of which a slice asks something, with that slice."""
    kinds = [kind["code"] for kind in node.rules.get("type", ())]
    allowed = frozenset(name for name, code in element.json_names.items() if not kinds or code in kinds)
    typed = [
        (name, one)
        for one in node.slices.values()
        for name, code in element.json_names.items()
        if code in [kind["code"] for kind in one.rules.get("type", ())]
    ]
    return allowed, typed


def slices(
    node: Node, terminology: Terminology, profiles: Profiles
) -> tuple[Sequence[tuple[str, Node, Predicate | Rooted]], bool]:
    """The slices that can be told apart, each with its test, and whether an item must belong to one."""
    slicing = node.rules.get("slicing", {})
    found = [
        (name, one, test)
        for name, one in node.slices.items()
        if "/" not in name and (test := predicate(one, slicing, terminology, profiles)) is not None
    ]
    closed = len(found) == len(node.slices) and slicing.get("rules") == "closed"
    idle = not closed and all(isinstance(test, Rooted) and _asks_nothing(one) for _, one, test in found)
    return [] if idle else found, closed


def _asks_nothing(node: Node) -> bool:
    """Whether a slice only says what is meant: as many as one likes, and nothing of each."""
    return cardinality(node) == (0, None) and not (node.children or list(constraints(node)) or "binding" in node.rules)


def beyond(node: Node, slicing: Mapping[str, Any]) -> Node:
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
