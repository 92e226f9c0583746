"""How often an element and its slices occur, and the way from a parent to the values of an element.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.validation.findings import Findings
from fhir_server.validation.profile_words import broken, too_few, too_many
from fhir_server.validation.slice_paths import listed
from fhir_server.validation.slicing import Order, Test, belongs

Issues = Findings
Check = Callable[[Any, str, Issues], None]
"""Takes a value and its FHIRPath, and adds what is wrong with it to the issues."""

Items = Sequence[tuple[int, Any]]
"""Values with their indices; -1 for an element that does not repeat."""

Sliced = Callable[[Items, str, Issues], None]
"""Takes the values of an element and its FHIRPath."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: which items are its own, how many there may be, what is asked of each, and its own slices."""

    name: str
    test: Test
    least: int
    most: int | None
    check: Check | None
    inner: Sliced | None = None


def together(rules: Sequence[Check]) -> Check:
    """Several checks of one value as one."""
    if len(rules) == 1:
        return rules[0]

    def check(value: Any, where: str, issues: Issues) -> None:
        for rule in rules:
            rule(value, where, issues)

    return check


def members(checks: Sequence[Check]) -> Check:
    """The checks of an object's members; extensions of a primitive stand elsewhere in JSON and are not counted."""

    def check(value: Any, where: str, issues: Issues) -> None:
        if type(value) is dict:
            for one in checks:
                one(value, where, issues)

    return check


def present(name: str) -> Check:
    """An element that must be there, and of which nothing else is asked."""
    extended = f"_{name}"

    def check(parent: Any, where: str, issues: Issues) -> None:
        if name not in parent and extended not in parent:
            issues.append(too_few(f"{where}.{name}", 0, 1))

    return check


def single(
    name: str, least: int, most: int | None, rules: Sequence[Check], stem: str = "", sliced: Sliced | None = None
) -> Check:
    """An element that occurs once; one form of a choice is called by the `stem`, as FHIRPath does."""
    extended, check_value, called = f"_{name}", together(rules), stem or name

    def check(parent: Any, where: str, issues: Issues) -> None:
        value = parent.get(name)
        if value is None:
            if least and extended not in parent:
                issues.append(too_few(f"{where}.{called}", 0, least))
        elif most == 0:
            issues.append(too_many(f"{where}.{called}", 1, 0))
        else:
            check_value(value, f"{where}.{called}", issues)
        if sliced is not None:
            sliced([] if value is None else [(-1, value)], f"{where}.{called}", issues)

    return check


def repeating(name: str, least: int, most: int | None, rules: Sequence[Check], sliced: Sliced | None) -> Check:
    """An element that may repeat: how often, the rules of each value, and its slices."""
    extended, check_value = f"_{name}", together(rules) if rules else None

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
            sliced(list(enumerate(values)), at, issues)

    return check


def choice(stem: str, names: Sequence[str], allowed: frozenset[str], least: int, most: int | None) -> Check:
    """value[x]: how often, and as which of its forms."""
    forms = {name: name for name in names} | {f"_{name}": name for name in names}

    def check(parent: Any, where: str, issues: Issues) -> None:
        found = next((forms[key] for key in parent if key in forms), None)
        if found is None:
            if least:
                issues.append(too_few(f"{where}.{stem}", 0, least))
        elif most == 0:
            issues.append(too_many(f"{where}.{stem}", 1, 0))
        elif found not in allowed:
            kinds = ", ".join(sorted(allowed))
            issues.append(broken(f"{where}.{stem}", f"{found} is not one of the forms allowed here. Use: {kinds}."))

    return check


def slices(all_slices: Sequence[Slice], order: Order) -> Sliced:
    """Sorts the items into slices, checks each by its slice, and counts them, as the `order` of the slicing asks."""

    def check(items: Items, where: str, issues: Issues) -> None:
        groups: list[list[tuple[int, Any]]] = [[] for _ in all_slices]
        certain, last, outside = True, 0, False
        for index, value in items:
            place = _place(all_slices, value, issues)
            at = where if index < 0 else f"{where}[{index}]"
            if place is None:
                certain = False
            elif place < 0:
                outside = True
                if order.closed:
                    issues.append(broken(at, "This entry is none of those that the profile allows here."))
            else:
                groups[place].append((index, value))
                _in_order(all_slices, order, place, last, at, issues, outside=outside)
                last = max(last, place)
                if (of_slice := all_slices[place].check) is not None:
                    of_slice(value, at, issues)
        for one, group in zip(all_slices, groups, strict=True):
            _count(one, group, where, issues, certain=certain)

    return check


def _count(one: Slice, group: Items, where: str, issues: Issues, *, certain: bool) -> None:
    if len(group) < one.least and certain:
        issues.append(too_few(where, len(group), one.least, one.name))
    elif one.most is not None and len(group) > one.most:
        issues.append(too_many(where, len(group), one.most, one.name))
    if one.inner is not None and (certain or group):
        one.inner(group, where, issues)


def _in_order(
    all_slices: Sequence[Slice], order: Order, place: int, last: int, at: str, issues: Issues, *, outside: bool
) -> None:
    name = all_slices[place].name
    if order.ordered and place < last:
        issues.append(broken(at, f"Under this profile {name} stands before {all_slices[last].name}. Change the order."))
    elif order.at_end and outside:
        issues.append(broken(at, f"Entries that the profile does not name stand last: put {name} before them."))


def _place(all_slices: Sequence[Slice], value: Any, issues: Issues) -> int | None:
    """The number of the slice that a value belongs to; -1 for none of them, None if that cannot be told."""
    unknown = False
    for place, one in enumerate(all_slices):
        answer = belongs(one.test, value, issues)
        if answer:
            return place
        unknown = unknown or answer is None
    return None if unknown else -1
