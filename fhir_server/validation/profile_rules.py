"""What a profile's tree says of one element, read the same way by the checks that find words and by the fast gate.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import invariant
from fhir_server.validation.profile_tree import BASE, Node
from fhir_server.validation.slicing import Predicate, matcher, predicate

_SAYS_NOTHING_MORE: Final = frozenset({"id", "path", "short", "definition", "comment", "min", "mustSupport"})
_REFERENCE_PARTS: Final = 2


def cardinality(node: Node) -> tuple[int, int | None]:
    """(least, most) occurrences; None for any number."""
    most = node.rules.get("max", "*")
    return int(node.rules.get("min", 0)), None if most == "*" else int(most)


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


def target(reference: Mapping[str, Any]) -> str | None:
    """The type that a reference names; None for a contained resource, a urn, or an address that does not tell."""
    parts = str(reference.get("reference", "")).partition("/_history/")[0].split("/")
    if len(parts) >= _REFERENCE_PARTS and parts[-2][:1].isupper() and parts[-2].isalpha():
        return parts[-2]
    kind = reference.get("type")
    return kind if isinstance(kind, str) and "reference" not in reference else None


def bound(node: Node) -> tuple[str, bool] | None:
    """(value set, whether its binding is required); None without a binding that is enforced."""
    said = node.rules.get("binding", {})
    if said.get("strength") not in ("required", "extensible") or "valueSet" not in said:
        return None
    return said["valueSet"], said["strength"] == "required"


def invariants(node: Node) -> Iterator[tuple[invariant.Rule, Mapping[str, Any]]]:
    """The element's own invariants that can be enforced, compiled, each with its definition."""
    for one in node.rules.get("constraint", ()):
        if one.get("severity") == "error" and not str(one.get("source", "")).startswith(BASE):
            rule = invariant.compile(one["expression"])
            if rule is not None:
                yield rule, one


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


def slices(node: Node, terminology: Terminology) -> tuple[Sequence[tuple[str, Node, Predicate]], bool]:
    """The slices that can be told apart, each with its test, and whether an item must belong to one."""
    slicing = node.rules.get("slicing", {})
    found = [
        (name, one, test)
        for name, one in node.slices.items()
        if "/" not in name and (test := predicate(one, slicing, terminology)) is not None
    ]
    return found, len(found) == len(node.slices) and slicing.get("rules") == "closed"


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
