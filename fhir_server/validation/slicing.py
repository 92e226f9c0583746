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


def matcher(pattern: Any) -> Predicate:
    """Whether a value has all that a pattern has, more being allowed; compiled, as every row of a file asks it."""
    if isinstance(pattern, dict):
        coding = _only_coding(pattern)
        return _with_coding(*coding) if coding else _with_members({k: matcher(p) for k, p in pattern.items()})
    if isinstance(pattern, list):
        wanted = [matcher(one) for one in pattern]
        return lambda value: type(value) is list and all(any(test(one) for one in value) for test in wanted)
    kind = type(pattern)
    return lambda value: type(value) is kind and bool(value == pattern)


def _with_members(wanted: Mapping[str, Predicate]) -> Predicate:
    tests = tuple(wanted.items())
    return lambda value: type(value) is dict and all(k in value and test(value[k]) for k, test in tests)


def _only_coding(pattern: Mapping[str, Any]) -> tuple[str, str] | None:
    """The system and code, if that is all a CodeableConcept pattern asks for."""
    codes = pattern.get("coding")
    if len(pattern) == 1 and isinstance(codes, list) and len(codes) == 1 and set(codes[0]) == {"system", "code"}:
        return codes[0]["system"], codes[0]["code"]
    return None


def _with_coding(system: str, code: str) -> Predicate:
    def test(value: Any) -> bool:
        if type(value) is dict and type(codes := value.get("coding")) is list:
            for one in codes:
                if type(one) is dict and one.get("code") == code and one.get("system") == system:
                    return True
        return False

    return test


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
    return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)


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
    test = matcher(wanted)
    if not names:
        return test
    if len(names) == 1:
        return _member_test(names[0], test)
    return lambda item: any(test(one) for one in reach(item, names))


def _member_test(name: str, test: Predicate) -> Predicate:
    def member_test(item: Any) -> bool:
        value = item.get(name) if type(item) is dict else None
        return any(test(one) for one in value) if type(value) is list else test(value)

    return member_test


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
