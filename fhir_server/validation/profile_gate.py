"""The fast gate of a profile: one generated function that says whether a resource certainly conforms.

It writes out in Python what `profile_compile` asks, without words and places. What it turns down, for a breach or for
being out of the ordinary, is decided by those checks, which find the words.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.fhir.memory import remembered
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding
from fhir_server.validation.findings import named_type
from fhir_server.validation.invariant import Compiled
from fhir_server.validation.limits import Limit, keeps, limits
from fhir_server.validation.matching import fits
from fhir_server.validation.profile_rules import (
    aggregation,
    beyond,
    bindings,
    cardinality,
    element_of,
    form_cardinality,
    forms,
    holder_of,
    invariants,
    kind_of,
    resource_types,
    slices,
    target_types,
    value_profiles,
)
from fhir_server.validation.profile_tree import Node
from fhir_server.validation.slicing import Order, Predicate, Profiles, Rooted

Gate = Callable[[Any], bool]
Lines = Iterator[str]

_STEP = "    "


def compile_gate(root: Node, definitions: Definitions, terminology: Terminology, profiles: Profiles) -> Gate:
    """The gate of a profile or extension, from its tree of rules."""
    writer = _Writer(definitions, terminology, profiles)
    lines = ["def gate(v0):", *[_STEP + line for line in writer.value(root, 0, None, root.path)], f"{_STEP}return True"]
    exec(compile("\n".join(lines), f"<profile of {root.path}>", "exec"), writer.names)  # noqa: S102 - own definitions
    gate: Gate = writer.names["gate"]
    return gate


class _Writer:
    """Writes the lines that check the value in `v<depth>` and return False for what does not certainly conform."""

    def __init__(self, definitions: Definitions, terminology: Terminology, profiles: Profiles) -> None:
        self._definitions = definitions
        self._terminology = terminology
        self._profiles = profiles
        self.names: dict[str, Any] = {}

    def _name(self, stem: str, value: Any) -> str:
        name = f"{stem}{len(self.names)}"
        self.names[name] = value
        return name

    def value(self, node: Node, depth: int, element: Element | None, kind: str) -> Lines:
        """What is asked of one value of an element, as a value of a type."""
        form = kind if element is not None and element.choice else ""
        if resource_types(node, element) or value_profiles(node, self._definitions, form) or aggregation(node):
            yield "return False"  # what keeps another profile, or looks around, is decided by the checks
            return
        for test in self._tests(node, kind):
            yield f"if not {self._name('test', test)}(v{depth}): return False"
        holder = holder_of(node, element, kind)
        fields = [line for child in node.children.values() for line in self._field(child, holder, depth)]
        if fields:
            yield f"if type(v{depth}) is dict:"
            yield from _inner(fields)

    def _tests(self, node: Node, kind: str) -> Iterator[Predicate]:
        yield from (fits(*one) for one in node.values())
        yield from (_within(one) for one in limits(node))
        if wanted := target_types(node, self._definitions):
            yield _names_one_of(wanted)
        for value_set, required in bindings(node):
            yield _bound(self._terminology, value_set, required=required)
        yield from (_rule(found) for found, _ in invariants(node, kind, self._terminology))

    def _field(self, node: Node, holder: str, depth: int) -> Lines:
        """What is asked of an element within its parent in `v<depth>`."""
        element = element_of(node, holder, self._definitions)
        if element is not None and element.choice:
            yield from self._choice(node, element, depth)
        elif element is not None and not element.repeats and not node.slices:
            rules = list(self.value(node, depth + 1, element, kind_of(element)))
            yield from self._single(node.name, *cardinality(node), rules, depth)
        elif element is not None and not element.repeats:
            yield f"return False  # {node.name} is sliced and does not repeat"
        else:
            yield from self._repeating(node, element, depth)

    def _single(self, name: str, least: int, most: int | None, rules: Sequence[str], depth: int) -> Lines:
        if most == 0:
            yield f"if v{depth}.get({name!r}) is not None: return False"
            return
        if least:
            yield f"if v{depth}.get({name!r}) is None and {'_' + name!r} not in v{depth}: return False"
        if rules:
            yield f"v{depth + 1} = v{depth}.get({name!r})"
            yield f"if v{depth + 1} is not None:"
            yield from _inner(rules)

    def _repeating(self, node: Node, element: Element | None, depth: int) -> Lines:
        (least, most), below = cardinality(node), depth + 1
        yield f"if {'_' + node.name!r} in v{depth}: return False"  # extensions of primitives: to be counted slowly
        yield f"w{below} = v{depth}.get({node.name!r}, ())"
        yield f"if type(w{below}) is not list and w{below} != (): return False"
        if least:
            yield f"if len(w{below}) < {least}: return False"
        if most is not None:
            yield f"if len(w{below}) > {most}: return False"
        found, order = slices(node, self._terminology, self._profiles) if node.slices else ((), Order())
        if order.at_end or order.ordered or any(isinstance(test, Rooted) or one.slices for _, one, test in found):
            yield f"if w{below}: return False"  # decided by the checks, which look around in the resource
            yield from ["return False"] if any(_least(one) for _, one, _ in found) else []
            return
        plain = [(one, test) for _, one, test in found if not isinstance(test, Rooted)]
        rules = list(self.value(node, below, element, kind_of(element)))
        sliced = list(self._slices(node, element, plain, below, closed=order.closed))
        counters, closed = self._counters(plain, below) if sliced else ([], [])
        if rules or sliced:
            yield from counters
            yield f"for v{below} in w{below}:"
            yield from _inner([f"if v{below} is None: return False", *rules, *sliced])
            yield from closed

    def _counters(self, found: Sequence[tuple[Node, Predicate]], depth: int) -> tuple[list[str], list[str]]:
        """The lines before and behind the items: counts of each slice, and what they must be."""
        before, behind = [], []
        for number, (one, _) in enumerate(found):
            least, most = cardinality(one)
            before.append(f"n{depth}_{number} = 0")
            if least:
                behind.append(f"if n{depth}_{number} < {least}: return False")
            if most is not None:
                behind.append(f"if n{depth}_{number} > {most}: return False")
        return before, behind

    def _slices(
        self, node: Node, element: Element | None, found: Sequence[tuple[Node, Predicate]], depth: int, *, closed: bool
    ) -> Lines:
        """Which slice an item belongs to, and the rules of that slice."""
        for number, (one, test) in enumerate(found):
            yield f"{'elif' if number else 'if'} {self._name('is', test)}(v{depth}):"
            yield f"{_STEP}n{depth}_{number} += 1"
            of_slice = beyond(one, node.rules.get("slicing", {}))
            yield from _inner(self.value(of_slice, depth, element, kind_of(element)))
        if found and closed:
            yield "else: return False"

    def _choice(self, node: Node, element: Element, depth: int) -> Lines:
        least, most = cardinality(node)
        found = forms(node, element)
        if found.several:
            yield f"return False  # slices of {node.name} are told apart by the checks"
            return
        test = _as_one_of(frozenset(element.json_names), frozenset() if most == 0 else found.allowed, needed=least > 0)
        yield f"if not {self._name('form', test)}(v{depth}): return False"
        for name in sorted(found.allowed):
            shared = list(self.value(node, depth + 1, element, element.json_names[name]))
            yield from self._single(name, 0, None, shared, depth)
        for name, one in found.single:
            of_form = list(self.value(one, depth + 1, element, element.json_names[name]))
            yield from self._single(name, *form_cardinality(one, found), of_form, depth)


def _inner(lines: Sequence[str] | Lines) -> Lines:
    for line in lines:
        yield _STEP + line


def _least(node: Node) -> int:
    """How many items a slice or a slice of it needs."""
    return max(cardinality(node)[0], *map(_least, node.slices.values()), 0)


def _rule(found: Compiled) -> Predicate:
    """A rule that looks around is left to the checks, which know the resource."""
    return (lambda _: False) if found.looks_around or found.rule is None else found.rule


def _within(limit: Limit) -> Predicate:
    """A limit that moves with the clock is left to the checks, which know the instant."""
    return lambda value: not (limit.moves and type(value) is str) and keeps(limit, value, 0)


def _as_one_of(names: frozenset[str], allowed: frozenset[str], *, needed: bool) -> Predicate:
    extended = frozenset(f"_{name}" for name in names)

    def test(parent: Mapping[str, Any]) -> bool:
        for key in parent:
            if key in names:
                return key in allowed
            if key in extended:
                return False
        return not needed

    return test


def _names_one_of(wanted: frozenset[str]) -> Predicate:
    def test(value: Any) -> bool:
        if type(value) is not dict:
            return False
        found = named_type(value)
        if found is None:  # whether a contained resource is right is decided by the checks
            return not str(value.get("reference", "")).startswith("#")
        return found in wanted

    return test


def _bound(terminology: Terminology, value_set: str, *, required: bool) -> Predicate:
    @remembered(1024)
    def may_hold(system: str | None, code: str) -> bool:
        return terminology.contains(value_set, system, code) is not False

    def test(value: Any) -> bool:
        if type(value) is str:
            return may_hold(None, value)
        codes: Any = value.get("coding", (value,)) if type(value) is dict else ()
        if len(codes) == 1 and type(codes[0].get("code")) is str and may_hold(codes[0].get("system"), codes[0]["code"]):
            return True
        return binding.holds(terminology, value_set, value, required=required)

    return test
