"""Which slice an item belongs to, by the discriminators of the profile.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from fhir_server.terminology.codes import Terminology
from fhir_server.validation.binding import member
from fhir_server.validation.findings import Findings, named_type
from fhir_server.validation.matching import matcher
from fhir_server.validation.profile_tree import Node
from fhir_server.validation.slice_paths import (
    UNKNOWN,
    Path,
    Step,
    Trees,
    chosen,
    codes,
    extension_url,
    listed,
    needed_slices,
    parse,
    values_at,
    way,
)

Predicate = Callable[[Any], bool | None]

_BY_VALUE: Final = frozenset({"value", "pattern"})


class Rooted(NamedTuple):
    """A test that looks around in the whole resource; None if it cannot be told whether an item belongs."""

    test: Callable[[Any, Findings], bool | None]


Test = Predicate | Rooted


class Order(NamedTuple):
    """What a slicing says of items beyond its slices, and of the order of its slices."""

    closed: bool = False
    at_end: bool = False
    ordered: bool = False


_UNSTATED: Final = Rooted(lambda _item, _findings: None)
"""The slice says nothing at the place of a discriminator: the others decide."""


class Profiles(Trees, Protocol):
    """What is known of other profiles."""

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile is for; None if it is not installed."""

    def conforms(self, canonical: str, value: Any, findings: Findings) -> bool:
        """Whether a value keeps a profile; one that is not installed is kept by everything."""

    def explain(self, canonical: str, value: Any, where: str, findings: Findings) -> None:
        """Adds what is wrong with a value under a profile."""


def predicate(node: Node, slicing: Mapping[str, Any], terminology: Terminology, profiles: Profiles) -> Test | None:
    """Whether an item belongs to a slice; None if that cannot be told here, so that nothing is enforced."""
    if node.name in ("extension", "modifierExtension"):
        return _by_url(node)
    tests = [_discriminate(node, one, terminology, profiles) for one in slicing.get("discriminator", ())]
    stated = [test for test in tests if test is not _UNSTATED]
    known = [test for test in stated if test is not None]
    if not known or len(known) < len(stated):
        return None
    return known[0] if len(known) == 1 else _every(known)


def _every(tests: Sequence[Test]) -> Test:
    if any(isinstance(test, Rooted) for test in tests):
        return Rooted(lambda item, findings: _all(belongs(test, item, findings) for test in tests))
    plain = [test for test in tests if not isinstance(test, Rooted)]
    return lambda item: _all(test(item) for test in plain)


def belongs(test: Test, item: Any, findings: Findings) -> bool | None:
    """What a test of either kind says of an item."""
    return test.test(item, findings) if isinstance(test, Rooted) else test(item)


def _all(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    return False if False in found else None if None in found else True


def _any(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    return True if True in found else None if None in found else False


def _by_url(node: Node) -> Predicate | None:
    url = extension_url(node)
    return None if url is None else lambda item: bool(item.get("url") == url)


def _discriminate(
    node: Node, discriminator: Mapping[str, str], terminology: Terminology, profiles: Profiles
) -> Test | None:
    kind, path = discriminator["type"], parse(discriminator["path"])
    if path is None:
        return None
    if kind in ("type", "profile") and path and path[-1].resolves:
        return _by_target(node, path, profiles, exact=kind == "profile")
    if kind in _BY_VALUE:
        return _by_value(node, path, terminology, profiles)
    if kind == "exists":
        return _by_existence(node, path, profiles)
    return _by_type(node, path, profiles) if kind == "type" else _by_profile(node, path, profiles)


def _ends(node: Node, path: Path, trees: Trees) -> Sequence[Node]:
    """Who describes the end of a path; nobody if the slice says nothing there."""
    found = way(node, path, trees)
    return found[-1] if len(found) > len(path) else ()


# ---- by type and profile
def _by_type(node: Node, path: Path, profiles: Profiles) -> Test | None:
    """The type of a resource, or the one that stands in the name of a choice."""
    wanted = frozenset(next(filter(None, map(codes, _ends(node, path, profiles))), ()))
    if not wanted:
        return _UNSTATED
    if not path or not path[-1].name:
        return _reached(path, lambda one: isinstance(one, dict) and one.get("resourceType") in wanted)
    name = path[-1].name
    keys = [name + kind[:1].upper() + kind[1:] for kind in wanted]

    def test(holder: Any) -> bool:
        if not isinstance(holder, dict):
            return False
        inner = (one for one in listed(holder.get(name)) if isinstance(one, dict))
        return any(key in holder for key in keys) or any(one.get("resourceType") in wanted for one in inner)

    return _reached(path[:-1], test)


def _by_profile(node: Node, path: Path, profiles: Profiles) -> Test | None:
    """The profile that a value keeps."""
    kinds = [kind for one in _ends(node, path, profiles) for kind in one.rules.get("type", ())]
    wanted = [url for kind in kinds for url in kind.get("profile", ())]
    if not wanted:
        return _UNSTATED
    if not all(profiles.type_of(url) for url in wanted):
        return None

    def of_one(value: Any, findings: Findings) -> bool | None:
        return None if value is UNKNOWN else any(profiles.conforms(url, value, findings) for url in wanted)

    return Rooted(lambda item, findings: _any(of_one(one, findings) for one in values_at(item, path, findings)))


def _by_target(node: Node, path: Path, profiles: Profiles, *, exact: bool) -> Test | None:
    """The type of a reference's target, or the profile it keeps: told of targets within the resource only."""
    kinds = [kind for one in _ends(node, path[:-1], profiles) for kind in one.rules.get("type", ())]
    wanted = [url for kind in kinds for url in kind.get("targetProfile", ())]
    types = {url: profiles.type_of(url) or url.rpartition("/")[2] for url in wanted}
    if not wanted:
        return _UNSTATED

    def of_one(reference: Any, findings: Findings) -> bool | None:
        target = findings.resolved(reference)
        kind = target.get("resourceType") if target else named_type(reference) if reference is not UNKNOWN else None
        if kind is None:
            return None
        if kind not in types.values() or not exact:
            return kind in types.values()
        fitting = [url for url in wanted if types[url] == kind]
        return any(profiles.conforms(url, target, findings) for url in fitting) if target else None

    def test(item: Any, findings: Findings) -> bool | None:
        found = values_at(item, path[:-1], findings)
        return _any(of_one(one, findings) for one in found if isinstance(one, dict) or one is UNKNOWN)

    return Rooted(test)


# ---- by value and existence
def _by_value(node: Node, path: Path, terminology: Terminology, profiles: Profiles) -> Test | None:
    """The first fixed value or pattern on the way to the discriminator's element, or else a required binding of it."""
    found = way(node, path, profiles)
    for depth, nodes in enumerate(found):
        if (test := _value_test(nodes)) is not None:
            return _at(path[:depth], test)
    if len(found) <= len(path):
        return _UNSTATED
    if any(one.rules.get("max") == "0" for one in found[-1]):
        return _reached(path, lambda _: True, wanted=False)
    for one in found[-1]:
        said = one.rules.get("binding", {})
        if said.get("strength") == "required" and "valueSet" in said:
            return _reached(path, _in_value_set(said["valueSet"], terminology))
    inner = [(names, value) for one in found[-1][:1] for names, value in _inner_values(one)]
    if not inner:
        return _UNSTATED
    return _every([_at((*path, *names), matcher(value)) for names, value in inner])


def _value_test(nodes: Sequence[Node]) -> Predicate | None:
    """What the slice itself asks for, or else one of what its other descriptions ask for."""
    own = [matcher(value) for _, value in nodes[0].values()]
    stated = [value for one in nodes[1:] for _, value in one.values()]
    if own:
        return own[0] if len(own) == 1 else lambda value: all(test(value) for test in own)
    tests = [matcher(value) for value in stated]
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _inner_values(node: Node) -> Iterator[tuple[Path, Any]]:
    """The values that are asked for below an element, as for a Coding whose system is fixed."""
    for name, child in node.children.items():
        step = Step(name.removesuffix("[x]"))
        for one in (child, *needed_slices(child)):
            yield from (((step,), value) for _, value in one.values())
            yield from (((step, *path), value) for path, value in _inner_values(one))


def _at(path: Path, test: Predicate) -> Test:
    if not path:
        return test
    if len(path) == 1 and path[0] == Step(path[0].name):
        return _member_test(path[0].name, test)
    return _reached(path, test)


def _reached(path: Path, test: Predicate, *, wanted: bool = True) -> Test:
    """Whether what is at the end of a path passes a test; not `wanted`: whether nothing does."""

    def answer(values: Iterable[Any]) -> bool | None:
        found = _any(None if one is UNKNOWN else test(one) for one in values)
        return found if found is None or wanted else not found

    if any(step.resolves for step in path):
        return Rooted(lambda item, findings: answer(values_at(item, path, findings)))
    return lambda item: answer(values_at(item, path))


def _member_test(name: str, test: Predicate) -> Predicate:
    def member_test(item: Any) -> bool:
        value = item.get(name) if type(item) is dict else None
        if value is None and type(item) is dict:
            value = chosen(item, name)
        return any(test(one) for one in value) if type(value) is list else bool(test(value))

    return member_test


def _in_value_set(value_set: str, terminology: Terminology) -> Predicate:
    return lambda value: member(terminology, value_set, value)


def _by_existence(node: Node, path: Path, profiles: Profiles) -> Test | None:
    ends = _ends(node, path, profiles)
    if any(one.rules.get("max") == "0" for one in ends):
        return _reached(path, lambda _: True, wanted=False)
    return _reached(path, lambda _: True) if any(one.rules.get("min") for one in ends) else _UNSTATED
