"""What the closures of FHIRPath do: every step takes a collection and gives a collection.

http://hl7.org/fhirpath/N1/#functions
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.values import parse_date
from fhir_server.validation.matching import written

Items = list[Any]
Step = Callable[[Items], Items]
Answer = bool | None
MemberOf = Callable[[str, Any], Answer]
"""Whether a coded value is in the value set of this URL; None if that cannot be told."""

_PLAIN: Final = frozenset({str, dict, list})  # a member that is there: nearly always
_DATE: Final = re.compile(r"\d{4}(-\d\d.*)?")


SURROUNDINGS: Final[ContextVar[Mapping[str, Any]]] = ContextVar("SURROUNDINGS")
"""The variables of the rule that is being asked."""


class CannotTellError(Exception):
    """The answer stands elsewhere, for example in another resource."""


def truth(items: Items) -> Answer:
    """The boolean meaning of a collection: none for an empty one; a single value that is no boolean counts as true."""
    if not items:
        return None
    return items[0] if isinstance(items[0], bool) else True


def constant(value: Any) -> Step:
    """One value, whatever is asked."""
    items = [value]
    return lambda _: items


def variable(name: str) -> Step:
    """The value of a %variable; CannotTellError if nobody has set it."""

    def step(_: Items) -> Items:
        found = SURROUNDINGS.get({}).get(name)
        if found is None:
            raise CannotTellError
        return [found]

    return step


def once(step: Step) -> Step:
    """A path from a variable leads to the same wherever it is asked within a rule: it is followed once."""

    def kept(items: Items) -> Items:
        memo = SURROUNDINGS.get({}).get("memo")
        if memo is None:
            return step(items)
        if step not in memo:
            memo[step] = step(items)
        found: Items = memo[step]
        return found

    return kept


def then(first: Step, second: Step) -> Step:
    """One step after another."""
    return lambda items: second(first(items))


def union(first: Step, second: Step) -> Step:
    """What either finds, each value once."""
    return lambda items: distinct([*first(items), *second(items)])


def distinct(items: Items) -> Items:
    """Each value once, in the order they were found."""
    return list({written(one): one for one in reversed(items)}.values())[::-1] if len(items) > 1 else items


def member(name: str) -> Step:
    """One step of a path. A name that the object lacks may be the stem of a choice, such as value for valueCode.

    A primitive that has extensions and no value is the object of its extensions.
    """

    def step(items: Items) -> Items:
        if len(items) == 1 and type(items[0]) is dict and type(there := items[0].get(name)) in _PLAIN:
            if type(there) is not list:
                return [there]
            if None not in there:
                return there
        return [one for item in items if isinstance(item, dict) for one in _members(item, name)]

    return step


def _members(item: dict[str, Any], name: str) -> Items:
    value, beside = item.get(name), item.get(f"_{name}")
    if value is None and beside is None:
        value = item if item.get("resourceType") == name else _choice(item, name)
        beside = _choice(item, f"_{name}") if value is None else None
    if isinstance(value, list) and isinstance(beside, list):
        value = [other if one is None else one for one, other in zip(value, beside, strict=False)]
    found = beside if value is None else value
    listed = found if isinstance(found, list) else [found]
    return [one for one in listed if one is not None]


def extended(parent: Step, name: str, values: Step) -> Step:
    """What may have extensions: what stands beside the values of a primitive, or else the values themselves."""
    key = f"_{name}"

    def step(items: Items) -> Items:
        found = [item.get(key, _choice(item, key)) for item in parent(items) if isinstance(item, dict)]
        beside = [one for some in found for one in (some if isinstance(some, list) else [some])]
        return [one for one in beside if isinstance(one, dict)] or values(items)

    return step


def _choice(item: dict[str, Any], stem: str) -> Any:
    size = len(stem)
    return next((item[key] for key in item if key.startswith(stem) and key[size : size + 1].isupper()), None)


def form(stem: str, kind: str) -> Step:
    """The value of a choice if it has this type: value and Quantity stand for valueQuantity; or resources of a type."""
    key = stem + kind[:1].upper() + kind[1:]

    def step(items: Items) -> Items:
        holders = [item for item in items if isinstance(item, dict)]
        plain = [
            one for item in holders if stem in item or stem == item.get("resourceType") for one in _members(item, stem)
        ]
        chosen = [item[key] for item in holders if key in item]
        return chosen + [one for one in plain if _is_resource(one, kind)]

    return step


def _is_resource(value: Any, kind: str) -> bool:
    """Whether a value whose name does not tell its type is a resource of this type; primitives are of no such type."""
    if isinstance(value, dict) != kind[:1].isupper():
        return False
    if not isinstance(value, dict) or "resourceType" not in value:
        raise CannotTellError
    return bool(value["resourceType"] == kind)


def refers_to(kind: str) -> Step:
    """Whether each Reference names this type; CannotTellError for one that does not say."""

    def step(items: Items) -> Items:
        return [_referred(item) == kind for item in items]

    return step


def _referred(item: Any) -> str:
    text = item.get("reference") if isinstance(item, dict) else None
    parts = text.partition("/_history/")[0].split("/")[-2:] if isinstance(text, str) else []
    kind = parts[0] if len(parts) > 1 and parts[0][:1].isupper() and parts[0].isalpha() else item.get("type")
    if not kind or (isinstance(text, str) and text.startswith("#")):
        raise CannotTellError
    return str(kind)


def member_of(argument: Step, asked: MemberOf) -> Step:
    """memberOf(); CannotTellError where the value set is not known well enough."""

    def step(items: Items) -> Items:
        answers = [asked(str(argument(items)[0]), item) for item in items]
        if None in answers:
            raise CannotTellError
        return list(answers)

    return step


# ---- logic with three values
def logic(table: Callable[[Answer, Answer], Answer], first: Step, second: Step) -> Step:
    """and, or, xor, implies by their table."""

    def step(items: Items) -> Items:
        answer = table(truth(first(items)), truth(second(items)))
        return [] if answer is None else [answer]

    return step


def both(a: Answer, b: Answer) -> Answer:
    """`and`."""
    return False if a is False or b is False else None if a is None or b is None else True


def either(a: Answer, b: Answer) -> Answer:
    """`or`."""
    return True if a or b else None if a is None or b is None else False


def only_one(a: Answer, b: Answer) -> Answer:
    """`xor`."""
    return None if a is None or b is None else a != b


def implied(a: Answer, b: Answer) -> Answer:
    """`implies`."""
    return True if a is False or b is True else None if a is None or b is None else False


# ---- comparisons and sums
def equality(first: Step, second: Step, *, same: bool) -> Step:
    """`=` and `!=`."""

    def step(items: Items) -> Items:
        one, other = first(items), second(items)
        return [(one == other) is same] if one and other else []

    return step


COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def order(compare: Callable[[Any, Any], bool], first: Step, second: Step) -> Step:
    """`<` and its like; dates that overlap cannot be told."""

    def step(items: Items) -> Items:
        one, other = first(items), second(items)
        if not one or not other:
            return []
        a, b = one[0], other[0]
        if type(a) is str and type(b) is str and _DATE.fullmatch(a) and _DATE.fullmatch(b):
            return _by_date(compare, a, b)
        return [compare(a, b)]

    return step


def _by_date(compare: Callable[[Any, Any], bool], a: str, b: str) -> Items:
    try:
        one, other = parse_date(a), parse_date(b)
    except BadValue:
        return [compare(a, b)]
    if one == other:
        return [compare(0, 0)]
    if one[1] > other[0] and other[1] > one[0]:
        raise CannotTellError  # a month against a day in it: no breach that is certain
    return [compare(one[0], other[0])]


def membership(item: Step, collection: Step) -> Step:
    """`in`."""

    def step(items: Items) -> Items:
        one = item(items)
        return [one[0] in collection(items)] if one else []

    return step


SUMS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "div": lambda a, b: math.trunc(a / b),
    "mod": math.fmod,
}


def arithmetic(sign: str, first: Step, second: Step) -> Step:
    """Sums of single values; nothing if one of them is not there, or if divided by zero."""
    reckon = SUMS[sign]

    def step(items: Items) -> Items:
        one, other = first(items), second(items)
        if not one or not other or (sign in ("/", "div", "mod") and other[0] == 0):
            return []
        return [reckon(one[0], other[0])]

    return step
