"""Which slice an item belongs to, by the discriminators of the profile.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from fhir_server.terminology.codes import Terminology
from fhir_server.validation.binding import member
from fhir_server.validation.findings import Findings, named_type
from fhir_server.validation.profile_tree import Node

Predicate = Callable[[Any], bool | None]

_BY_VALUE: Final = frozenset({"value", "pattern"})
_RESOLVE: Final = "resolve()"
_NARROWED: Final = re.compile(r"\.ofType\(\w+\)")


class Rooted(NamedTuple):
    """A test that looks around in the whole resource; None if it cannot be told whether an item belongs."""

    test: Callable[[Any, Findings], bool | None]


class Profiles(Protocol):
    """What is known of other profiles."""

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile is for; None if it is not installed."""

    def conforms(self, canonical: str, value: Any, findings: Findings) -> bool:
        """Whether a value keeps a profile; one that is not installed is kept by everything."""

    def explain(self, canonical: str, value: Any, where: str, findings: Findings) -> None:
        """Adds what is wrong with a value under a profile."""


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


def predicate(
    node: Node, slicing: Mapping[str, Any], terminology: Terminology, profiles: Profiles
) -> Predicate | Rooted | None:
    """Whether an item belongs to a slice; None if that cannot be told here, so that nothing is enforced."""
    if node.name in ("extension", "modifierExtension"):
        return _by_url(node)
    tests = [_discriminate(node, one, terminology, profiles) for one in slicing.get("discriminator", ())]
    known = [test for test in tests if test is not None]
    if not known or len(known) < len(tests):
        return None
    if len(known) == 1:
        return known[0]
    if any(isinstance(test, Rooted) for test in known):
        return Rooted(lambda item, findings: _all(belongs(test, item, findings) for test in known))
    plain = [test for test in known if not isinstance(test, Rooted)]
    return lambda item: _all(test(item) for test in plain)


def belongs(test: Predicate | Rooted, item: Any, findings: Findings) -> bool | None:
    """What a test of either kind says of an item."""
    return test.test(item, findings) if isinstance(test, Rooted) else test(item)


def _all(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    return False if False in found else None if None in found else True


def _by_url(node: Node) -> Predicate | None:
    url = next((p for kind in node.rules.get("type", ()) for p in kind.get("profile", ())), None)
    if url is None and "url" in node.children and (fixed := node.children["url"].value()):
        url = fixed[1]
    return None if url is None else lambda item: bool(item.get("url") == url)


def _discriminate(
    node: Node, discriminator: Mapping[str, str], terminology: Terminology, profiles: Profiles
) -> Predicate | Rooted | None:
    kind, path = discriminator["type"], _NARROWED.sub("", discriminator["path"]).removeprefix("$this.")
    resolves = path.endswith(_RESOLVE)
    path = path.removesuffix(_RESOLVE).rstrip(".") or "$this"
    if "(" in path:
        return None
    names = [] if path == "$this" else path.split(".")
    if kind in ("type", "profile") and resolves:
        return _by_target(node, names, profiles, exact=kind == "profile")
    if resolves:
        return None
    if kind in _BY_VALUE:
        return _by_value(node, names, terminology)
    if kind == "exists":
        return _by_existence(node, names)
    return _by_type(node, names) if kind == "type" else _by_profile(node, names, profiles)


def _by_type(node: Node, names: Sequence[str]) -> Predicate | None:
    """The type of a resource, or the one that stands in the name of a choice."""
    end = _end(node, names)
    wanted = frozenset(kind["code"] for kind in end.rules.get("type", ())) if end else frozenset()
    if not wanted:
        return None
    if not names:
        return lambda item: isinstance(item, dict) and item.get("resourceType") in wanted
    keys = [names[-1] + kind[:1].upper() + kind[1:] for kind in wanted]

    def test(item: Any) -> bool:
        holders = [one for one in reach(item, names[:-1]) if isinstance(one, dict)]
        inner = [one for holder in holders for one in listed(holder.get(names[-1]))]
        return any(key in holder for holder in holders for key in keys) or any(
            isinstance(one, dict) and one.get("resourceType") in wanted for one in inner
        )

    return test


def _by_profile(node: Node, names: Sequence[str], profiles: Profiles) -> Rooted | None:
    """The profile that a value keeps."""
    end = _end(node, names)
    wanted = [url for kind in end.rules.get("type", ()) for url in kind.get("profile", ())] if end else []
    if not wanted or not all(profiles.type_of(url) for url in wanted):
        return None

    def test(item: Any, findings: Findings) -> bool:
        return any(profiles.conforms(url, one, findings) for one in reach(item, names) for url in wanted)

    return Rooted(test)


def _by_target(node: Node, names: Sequence[str], profiles: Profiles, *, exact: bool) -> Rooted | None:
    """The type of a reference's target, or the profile it keeps: told of targets within the resource only."""
    end = _end(node, names)
    wanted = [url for kind in end.rules.get("type", ()) for url in kind.get("targetProfile", ())] if end else []
    types = {url: profiles.type_of(url) or url.rpartition("/")[2] for url in wanted}
    if not wanted:
        return None

    def of_one(reference: Any, findings: Findings) -> bool | None:
        target = findings.resolved(reference)
        kind = target.get("resourceType") if target else named_type(reference)
        if kind is None:
            return None
        if kind not in types.values() or not exact:
            return kind in types.values()
        fitting = [url for url in wanted if types[url] == kind]
        return any(profiles.conforms(url, target, findings) for url in fitting) if target else None

    def test(item: Any, findings: Findings) -> bool | None:
        answers = [of_one(one, findings) for one in reach(item, names) if isinstance(one, dict)]
        return True if True in answers else None if None in answers else False

    return Rooted(test)


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
        children = found[-1].children
        if name not in children and f"{name}[x]" not in children:
            break
        found.append(children[name] if name in children else children[f"{name}[x]"])
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
        if value is None and type(item) is dict:
            value = _chosen(item, name)
        return any(test(one) for one in value) if type(value) is list else bool(test(value))

    return member_test


def _binding_test(names: Sequence[str], value_set: str, terminology: Terminology) -> Predicate:
    def test(item: Any) -> bool | None:
        answers = [member(terminology, value_set, value) for value in reach(item, names)]
        return True if True in answers else None if None in answers else False

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
        found = [value.get(name, _chosen(value, name)) for value in values if isinstance(value, dict)]
        values = [one for value in found for one in listed(value)]
    return values


def _chosen(item: Mapping[str, Any], stem: str) -> Any:
    """The value of a choice by its stem, as value for valueCode."""
    size = len(stem)
    return next((item[key] for key in item if key.startswith(stem) and key[size : size + 1].isupper()), None)
