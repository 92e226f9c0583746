"""What a profile's tree says of one element, read the same way by the checks that find words and by the fast gate.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding, invariant
from fhir_server.validation.profile_tree import BASE, ONLY, Node
from fhir_server.validation.slice_paths import codes
from fhir_server.validation.slicing import Order, Profiles, Rooted, Test, predicate

_SAYS_NOTHING_MORE: Final = frozenset({"id", "path", "short", "definition", "comment", "min", "mustSupport"})
_MOST_ALLOWED: Final = BASE + "elementdefinition-maxValueSet"
_BY_SERVER: Final = frozenset({"id", "meta", "meta.versionId", "meta.lastUpdated"})
_ANY_RESOURCE: Final = frozenset({"Resource", "DomainResource"})

Sliced = Sequence[tuple[str, Node, Test]]
"""Slices by name, each with the test of what belongs to it."""


def cardinality(node: Node) -> tuple[int, int | None]:
    """(least, most) occurrences; None for any number. What the server itself puts into a resource is never missing."""
    least, most = int(node.rules.get("min", 0)), node.rules.get("max", "*")
    by_server = node.path.partition(".")[2] in _BY_SERVER and node.path[:1].isupper()
    return 0 if by_server else least, None if most == "*" else int(most)


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


def value_profiles(node: Node, definitions: Definitions, form: str = "") -> tuple[str, ...]:
    """The installed profiles of which the value itself must keep one: of a data type, or of an inner resource.

    `form` is the type of the value, where the element has a choice.
    """
    kinds = [kind for kind in node.rules.get("type", ()) if kind.get("code") != "Extension"]
    named = [kind.get("profile", ()) for kind in kinds if not form or kind.get("code") == form]
    if not all(named):
        return ()  # one of the types may come as it is
    urls = [url for some in named for url in some]
    return tuple(urls) if all(definitions.resource(url) is not None for url in urls) else ()


def aggregation(node: Node) -> frozenset[str]:
    """How references may reach their targets (contained, referenced, bundled); none: in any way."""
    kinds = [kind for kind in node.rules.get("type", ()) if kind.get("code") == "Reference"]
    ways = [kind.get("aggregation", ()) for kind in kinds]
    return frozenset(way for some in ways for way in some) if ways and all(ways) else frozenset()


def resource_types(node: Node, element: Element | None) -> frozenset[str]:
    """The types that an inner resource may be of; none if any, or if the element holds no resource."""
    kinds = frozenset(codes(node))
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


def invariants(
    node: Node, kind: str, terminology: Terminology
) -> Iterator[tuple[invariant.Compiled, Mapping[str, Any]]]:
    """The element's own invariants that can be enforced, compiled for values of a type, each with its definition."""
    for one in constraints(node):
        if one.get("severity") == "error":
            found = invariant.compiled(one["expression"], kind, partial(binding.member, terminology))
            if found.rule is not None:
                yield found, one


def element_of(node: Node, holder: str, definitions: Definitions) -> Element | None:
    """The element of R4 that a node is about, in a `holder`: a type, or the path of a backbone; None if unknown."""
    found = definitions.element(f"{holder}.{node.name}") if holder else None
    return found or definitions.element(node.path)


def kind_of(element: Element | None) -> str:
    """The type of an element's value, or "" if it has several or is a backbone."""
    return element.types[0] if element is not None and len(element.types) == 1 else ""


def holder_of(node: Node, element: Element | None, kind: str) -> str:
    """Where the elements of a value are defined: its type, the path of a backbone, the type of an inner resource."""
    if kind == "Resource":
        named = codes(node)
        return named[0] if len(named) == 1 else ""
    return kind or (element.structure if element is not None else "")


class Forms(NamedTuple):
    """Of value[x]: the forms that are allowed, the slice of each form that has one, the slices of forms with more."""

    allowed: frozenset[str]
    single: Sequence[tuple[str, Node]]
    several: Mapping[str, Mapping[str, Node]]


def forms(node: Node, element: Element) -> Forms:
    """What a choice may be, and what its slices ask of each form; one slice may be of several forms."""
    kinds, slicing = codes(node), node.rules.get("slicing", {})
    allowed = frozenset(name for name, code in element.json_names.items() if not kinds or code in kinds)
    allowed &= node.rules.get(ONLY, allowed)
    typed: dict[str, dict[str, Node]] = {}
    for slice_name, one in node.slices.items():
        for name, code in element.json_names.items():
            if code in codes(one) or (not codes(one) and name == slice_name):
                typed.setdefault(name, {})[slice_name] = one
    if slicing.get("rules") == "closed" and node.slices.keys() == {name for some in typed.values() for name in some}:
        allowed &= typed.keys()
    single = [(name, one) for name, some in typed.items() for one in some.values() if len(some) == 1]
    return Forms(allowed, single, {name: some for name, some in typed.items() if len(some) > 1})


def form_cardinality(one: Node, found: Forms) -> tuple[int, int | None]:
    """How often one form of a slice occurs: a slice of several forms needs none of them."""
    least, most = cardinality(one)
    return (least if sum(one is other for _, other in found.single) == 1 else 0), most


def slices_of_form(some: Mapping[str, Node], node: Node, terminology: Terminology, profiles: Profiles) -> Sliced:
    """The slices of one form of a choice, told apart by what is not its type; none if that cannot be told."""
    said = node.rules.get("slicing", {})
    rest = [one for one in said.get("discriminator", ()) if (one["type"], one["path"]) != ("type", "$this")]
    tests = [(name, one, predicate(one, {"discriminator": rest}, terminology, profiles)) for name, one in some.items()]
    found = [(name, one, test) for name, one, test in tests if test is not None]
    return found if len(found) == len(tests) else []


def slices(
    node: Node, terminology: Terminology, profiles: Profiles, slicing: Mapping[str, Any] | None = None
) -> tuple[Sliced, Order]:
    """The slices that can be told apart, each with its test, and what else may stand where.

    `slicing`: how the slice is sliced that is sliced again without a word of its own.
    """
    said = node.rules.get("slicing", slicing or {})
    tests = [(name, one, predicate(one, said, terminology, profiles)) for name, one in node.slices.items()]
    found = [(name, one, test) for name, one, test in tests if test is not None]
    all_known = len(found) == len(node.slices)
    closed, at_end = all_known and said.get("rules") == "closed", all_known and said.get("rules") == "openAtEnd"
    order = Order(closed, at_end, bool(said.get("ordered")))
    idle = order == Order() and all(isinstance(test, Rooted) and _asks_nothing(one) for _, one, test in found)
    return [] if idle else found, order


def _asks_nothing(node: Node) -> bool:
    """Whether a slice only says what is meant: as many as one likes, and nothing of each."""
    asks = node.children or node.slices or list(constraints(node)) or "binding" in node.rules
    return cardinality(node) == (0, None) and not asks


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
    return not (says_more or node.children or node.slices or not list(node.values()))
