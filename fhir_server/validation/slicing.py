"""Which slice an item belongs to, by the discriminators of the profile.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fhir_server.terminology.codes import Terminology
from fhir_server.validation.binding import codings
from fhir_server.validation.profile_tree import Node

Predicate = Callable[[Any], bool]

_BY_VALUE: Final = frozenset({"value", "pattern"})


def matches(pattern: Any, value: Any) -> bool:
    """Whether a value has all that a pattern has, more being allowed."""
    if isinstance(pattern, Mapping):
        return isinstance(value, Mapping) and all(k in value and matches(p, value[k]) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(matches(p, v) for v in value) for p in pattern)
    return type(pattern) is type(value) and bool(pattern == value)


def predicate(node: Node, slicing: Mapping[str, Any], terminology: Terminology) -> Predicate | None:
    """Whether an item belongs to a slice; None if that cannot be told from the item alone, so nothing is enforced."""
    if node.name in ("extension", "modifierExtension"):
        return _by_url(node)
    tests = [_discriminate(node, one, terminology) for one in slicing.get("discriminator", ())]
    known = [test for test in tests if test is not None]
    if not known or len(known) < len(tests):
        return None
    return known[0] if len(known) == 1 else lambda item: all(test(item) for test in known)


def _by_url(node: Node) -> Predicate | None:
    url = next((p for kind in node.rules.get("type", ()) for p in kind.get("profile", ())), None)
    if url is None and "url" in node.children and (fixed := node.children["url"].value()):
        url = fixed[1]
    return None if url is None else lambda item: bool(item.get("url") == url)


def _discriminate(node: Node, discriminator: Mapping[str, str], terminology: Terminology) -> Predicate | None:
    kind, path = discriminator["type"], discriminator["path"]
    if "(" in path:
        return None
    names = [] if path == "$this" else path.removeprefix("$this.").split(".")
    if kind in _BY_VALUE:
        return _by_value(node, names, terminology)
    return _by_existence(node, names) if kind == "exists" else None


def _by_value(node: Node, names: Sequence[str], terminology: Terminology) -> Predicate | None:
    """The first fixed value or pattern on the way to the discriminator's element, or else a required binding of it."""
    for depth, step in enumerate(_way(node, names)):
        if value := step.value():
            return _value_test(names[:depth], value[1])
    end = _end(node, names)
    binding = end.rules.get("binding", {}) if end else {}
    if binding.get("strength") == "required" and "valueSet" in binding:
        return _binding_test(names, binding["valueSet"], terminology)
    return _by_all_children(node) if not names else None


def _by_all_children(node: Node) -> Predicate | None:
    """`$this` where the values stand below it, as for a Coding whose system is fixed."""
    fixed = [(name, value[1]) for name, child in node.children.items() if (value := child.value())]
    if not fixed:
        return None
    tests = [_value_test((name,), value) for name, value in fixed]
    return lambda item: all(test(item) for test in tests)


def _way(node: Node, names: Sequence[str]) -> list[Node]:
    found = [node]
    for name in names:
        if name not in found[-1].children:
            break
        found.append(found[-1].children[name])
    return found


def _end(node: Node, names: Sequence[str]) -> Node | None:
    way = _way(node, names)
    return way[-1] if len(way) == len(names) + 1 else None


def _value_test(names: Sequence[str], wanted: Any) -> Predicate:
    if len(names) == 1:
        name = names[0]
        return lambda item: isinstance(item, dict) and any(matches(wanted, one) for one in listed(item.get(name)))
    return lambda item: any(matches(wanted, one) for one in reach(item, names))


def _binding_test(names: Sequence[str], value_set: str, terminology: Terminology) -> Predicate:
    def test(item: Any) -> bool:
        found = (coding for value in reach(item, names) for coding in codings(value))
        return any(terminology.contains(value_set, system, code) for system, code in found)

    return test


def _by_existence(node: Node, names: Sequence[str]) -> Predicate | None:
    end = _end(node, names)
    if end is None:
        return None
    if end.rules.get("max") == "0":
        return lambda item: not reach(item, names)
    return (lambda item: bool(reach(item, names))) if end.rules.get("min") else None


def listed(value: Any) -> Sequence[Any]:
    """The value as a sequence: itself if it is an array, nothing if it is absent."""
    return () if value is None else value if isinstance(value, list) else (value,)


def reach(item: Any, names: Sequence[str]) -> list[Any]:
    """Every value at the end of a path of element names."""
    values = list(listed(item))
    for name in names:
        values = [one for value in values if isinstance(value, dict) for one in listed(value.get(name))]
    return values
