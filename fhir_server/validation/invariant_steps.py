"""What the closures of FHIRPath do: every step takes a collection and gives a collection.

http://hl7.org/fhirpath/N1/#functions
"""

import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.values import parse_date

Items = list[Any]
Step = Callable[[Items], Items]
Answer = bool | None
MemberOf = Callable[[str, Any], Answer]
"""Whether a coded value is in the value set of this URL; None if that cannot be told."""

_PLAIN: Final = frozenset({str, dict, list})  # a member that is there: nearly always
_DATE: Final = re.compile(r"\d{4}(-\d\d.*)?")


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


def then(first: Step, second: Step) -> Step:
    """One step after another."""
    return lambda items: second(first(items))


def union(first: Step, second: Step) -> Step:
    """What either finds."""
    return lambda items: [*first(items), *second(items)]


def member(name: str) -> Step:
    """One step of a path. A name that the object lacks may be the stem of a choice, such as value for valueCode."""

    def step(items: Items) -> Items:
        if len(items) == 1 and type(items[0]) is dict and type(there := items[0].get(name)) in _PLAIN:
            return there if type(there) is list else [there]
        found: Items = []
        for item in items:
            if not isinstance(item, dict):
                continue
            value = item.get(name)
            if value is None:
                value = item if item.get("resourceType") == name else _choice(item, name)
            if isinstance(value, list):
                found += value
            elif value is not None:
                found.append(value)
        return found

    return step


def _choice(item: dict[str, Any], stem: str) -> Any:
    size = len(stem)
    return next((item[key] for key in item if key.startswith(stem) and key[size : size + 1].isupper()), None)


def form(stem: str, kind: str) -> Step:
    """The value of a choice if it has this type: value and Quantity stand for valueQuantity; or resources of a type."""
    key = stem + kind[:1].upper() + kind[1:]

    def step(items: Items) -> Items:
        holders = [item for item in items if isinstance(item, dict)]
        plain = [one for item in holders if stem in item for one in member(stem)([item])]
        if not all(isinstance(one, dict) and "resourceType" in one for one in plain):
            raise CannotTellError
        return [item[key] for item in holders if key in item] + [one for one in plain if one["resourceType"] == kind]

    return step


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


# ---- functions
def _where(criteria: Step) -> Step:
    return lambda items: [item for item in items if truth(criteria([item]))]


def _exists(criteria: Step | None = None) -> Step:
    if criteria is None:
        return lambda items: [bool(items)]
    return lambda items: [any(truth(criteria([item])) for item in items)]


def _all(criteria: Step) -> Step:
    return lambda items: [all(truth(criteria([item])) for item in items)]


def _not(items: Items) -> Items:
    answer = truth(items)
    return [] if answer is None else [not answer]


def _matches(argument: Step) -> Step:
    pattern = re.compile(re.sub(r"\$$", r"\\Z", argument([])[0]))
    return lambda items: [pattern.search(items[0]) is not None] if items else []


def _of_text(test: Callable[[str, str], bool]) -> Callable[[Step], Step]:
    return lambda argument: lambda items: [test(str(items[0]), argument(items)[0])] if items else []


def _extension(argument: Step) -> Step:
    url = argument([])[0]
    return then(member("extension"), lambda items: [item for item in items if item.get("url") == url])


def _select(projection: Step) -> Step:
    return lambda items: [one for item in items for one in projection([item])]


def _iif(criteria: Step, yes: Step, no: Step = lambda _: []) -> Step:
    return lambda items: yes(items) if truth(criteria(items)) else no(items)


def _substring(start: Step, length: Step | None = None) -> Step:
    def step(items: Items) -> Items:
        at = start(items)[0] if items else 0
        if not items or not 0 <= at < len(items[0]):
            return []
        return [items[0][at : None if length is None else at + length(items)[0]]]

    return step


def _to_integer(items: Items) -> Items:
    return [int(items[0])] if items and re.fullmatch(r"[+-]?\d+", str(items[0])) else []


def _to_string(items: Items) -> Items:
    return [items[0] if isinstance(items[0], str) else str(items[0]).lower()] if items else []


FUNCTIONS: Final[dict[tuple[str, int], Callable[..., Step]]] = {
    ("exists", 0): _exists,
    ("exists", 1): _exists,
    ("empty", 0): lambda: lambda items: [not items],
    ("not", 0): lambda: _not,
    ("where", 1): _where,
    ("all", 1): _all,
    ("select", 1): _select,
    ("iif", 2): _iif,
    ("iif", 3): _iif,
    ("matches", 1): _matches,
    ("startsWith", 1): _of_text(str.startswith),
    ("endsWith", 1): _of_text(str.endswith),
    ("contains", 1): _of_text(operator.contains),
    ("substring", 1): _substring,
    ("substring", 2): _substring,
    ("length", 0): lambda: lambda items: [len(items[0])] if items else [],
    ("toInteger", 0): lambda: _to_integer,
    ("toString", 0): lambda: _to_string,
    ("hasValue", 0): lambda: lambda items: [len(items) == 1 and not isinstance(items[0], dict)],
    ("count", 0): lambda: lambda items: [len(items)],
    ("first", 0): lambda: lambda items: items[:1],
    ("last", 0): lambda: lambda items: items[-1:],
    ("tail", 0): lambda: lambda items: items[1:],
    ("extension", 1): _extension,
}
