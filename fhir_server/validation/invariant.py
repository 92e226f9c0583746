"""FHIRPath invariants as Python functions.

The plain part of FHIRPath (paths, where, exists, comparisons, logic) becomes closures over the parsed JSON, about a
microsecond a rule; whatever goes beyond it is compiled once by `fhirpathpy`.  http://hl7.org/fhirpath/N1/
"""

import re
from collections.abc import Callable
from typing import Any, Final

import fhirpathpy
from fhirpathpy.models import models

Items = list[Any]
Step = Callable[[Items], Items]
Rule = Callable[[Any], bool]
Answer = bool | None

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>\d+)|(?P<name>\$this|[A-Za-z_]\w*)|(?P<sign>!=|<=|>=|[=<>|.(),]))"""
)
_ASKS_OTHERS: Final = re.compile(r"%|\b(?:resolve|memberOf|conformsTo|subsumes|subsumedBy|htmlChecks)\(")
_END: Final = ("end", "")
_PLAIN: Final = frozenset({str, dict, list})  # a member that is there: nearly always
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


class _BeyondError(Exception):
    """The expression uses a part of FHIRPath that is left to the library."""


def compile(expression: str) -> Rule | None:
    """A function from an element (or resource) to whether the invariant holds; what yields nothing holds not.

    None for an expression that asks other resources, a terminology service or the environment: it is not enforced.
    """
    if _ASKS_OTHERS.search(expression):
        return None
    try:
        step = _Parser(expression).whole()
    except _BeyondError:
        return _by_library(expression)
    return lambda value: _truth(step([value])) is True


def _by_library(expression: str) -> Rule:
    evaluate = fhirpathpy.compile(expression, models["r4"])
    return lambda value: _truth(evaluate(value, {})) is True


def _truth(items: Items) -> Answer:
    """The boolean meaning of a collection: none for an empty one; a single value that is no boolean counts as true."""
    if not items:
        return None
    return items[0] if isinstance(items[0], bool) else True


class _Parser:
    """Recursive descent by FHIRPath's precedence; every method returns a function from a collection to a collection."""

    def __init__(self, expression: str) -> None:
        self._tokens = _tokens(expression)
        self._at = 0

    def whole(self) -> Step:
        step = self._implies()
        if self._peek() != _END:
            raise _BeyondError
        return step

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _take(self, *wanted: str) -> str | None:
        kind, text = self._peek()
        if kind in ("text", "number") or text not in wanted:
            return None
        self._at += 1
        return text

    def _must(self, wanted: str) -> None:
        if self._take(wanted) is None:
            raise _BeyondError

    def _implies(self) -> Step:
        step = self._or()
        while self._take("implies"):
            step = _logic(_implied, step, self._or())
        return step

    def _or(self) -> Step:
        step = self._and()
        while word := self._take("or", "xor"):
            step = _logic(_either if word == "or" else _only_one, step, self._and())
        return step

    def _and(self) -> Step:
        step = self._member()
        while self._take("and"):
            step = _logic(_both, step, self._member())
        return step

    def _member(self) -> Step:
        step = self._equal()
        while word := self._take("in", "contains"):
            other = self._equal()
            step = _membership(step, other) if word == "in" else _membership(other, step)
        return step

    def _equal(self) -> Step:
        step = self._order()
        while sign := self._take("=", "!="):
            step = _equality(step, self._order(), same=sign == "=")
        return step

    def _order(self) -> Step:
        step = self._union()
        while sign := self._take("<", ">", "<=", ">="):
            step = _order(_COMPARE[sign], step, self._union())
        return step

    def _union(self) -> Step:
        step = self._path()
        while self._take("|"):
            step = _union(step, self._path())
        return step

    def _path(self) -> Step:
        step = self._term()
        while self._take("."):
            step = _then(step, self._name())
        return step

    def _term(self) -> Step:
        kind, text = self._peek()
        if self._take("("):
            step = self._implies()
            self._must(")")
            return step
        if kind == "name":
            return self._name()
        self._at += 1
        if kind == "text":
            return _constant(re.sub(r"\\(.)", r"\1", text[1:-1]))
        if kind == "number":
            return _constant(int(text))
        raise _BeyondError

    def _name(self) -> Step:
        kind, text = self._peek()
        if kind != "name":
            raise _BeyondError
        self._at += 1
        if not self._take("("):
            return _LITERALS.get(text) or _member(text)
        arguments = [] if self._take(")") else self._arguments()
        make = _FUNCTIONS.get((text, len(arguments)))
        if make is None:
            raise _BeyondError
        return make(*arguments)

    def _arguments(self) -> list[Step]:
        found = [self._implies()]
        while self._take(","):
            found.append(self._implies())
        self._must(")")
        return found


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at, text = [], 0, expression.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _BeyondError
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return [*found, _END]


def _constant(value: Any) -> Step:
    items = [value]
    return lambda _: items


def _then(first: Step, second: Step) -> Step:
    return lambda items: second(first(items))


def _union(first: Step, second: Step) -> Step:
    return lambda items: [*first(items), *second(items)]


def _member(name: str) -> Step:
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


# ---- logic with three values
def _logic(table: Callable[[Answer, Answer], Answer], first: Step, second: Step) -> Step:
    def step(items: Items) -> Items:
        answer = table(_truth(first(items)), _truth(second(items)))
        return [] if answer is None else [answer]

    return step


def _both(a: Answer, b: Answer) -> Answer:
    return False if a is False or b is False else None if a is None or b is None else True


def _either(a: Answer, b: Answer) -> Answer:
    return True if a or b else None if a is None or b is None else False


def _only_one(a: Answer, b: Answer) -> Answer:
    return None if a is None or b is None else a != b


def _implied(a: Answer, b: Answer) -> Answer:
    return True if a is False or b is True else None if a is None or b is None else False


def _equality(first: Step, second: Step, *, same: bool) -> Step:
    def step(items: Items) -> Items:
        one, other = first(items), second(items)
        return [(one == other) is same] if one and other else []

    return step


def _order(compare: Callable[[Any, Any], bool], first: Step, second: Step) -> Step:
    def step(items: Items) -> Items:
        one, other = first(items), second(items)
        return [compare(one[0], other[0])] if one and other else []

    return step


def _membership(item: Step, collection: Step) -> Step:
    def step(items: Items) -> Items:
        one = item(items)
        return [one[0] in collection(items)] if one else []

    return step


# ---- functions
def _where(criteria: Step) -> Step:
    return lambda items: [item for item in items if _truth(criteria([item]))]


def _exists(criteria: Step | None = None) -> Step:
    if criteria is None:
        return lambda items: [bool(items)]
    return lambda items: [any(_truth(criteria([item])) for item in items)]


def _all(criteria: Step) -> Step:
    return lambda items: [all(_truth(criteria([item])) for item in items)]


def _not(items: Items) -> Items:
    answer = _truth(items)
    return [] if answer is None else [not answer]


def _matches(argument: Step) -> Step:
    pattern = re.compile(re.sub(r"\$$", r"\\Z", argument([])[0]))
    return lambda items: [pattern.search(items[0]) is not None] if items else []


def _starts_with(argument: Step) -> Step:
    return lambda items: [str(items[0]).startswith(argument([])[0])] if items else []


def _extension(argument: Step) -> Step:
    url = argument([])[0]
    return _then(_member("extension"), lambda items: [item for item in items if item.get("url") == url])


_LITERALS: Final[dict[str, Step]] = {
    "$this": lambda items: items,
    "true": _constant(value=True),
    "false": _constant(value=False),
}
_FUNCTIONS: Final[dict[tuple[str, int], Callable[..., Step]]] = {
    ("exists", 0): _exists,
    ("exists", 1): _exists,
    ("empty", 0): lambda: lambda items: [not items],
    ("not", 0): lambda: _not,
    ("where", 1): _where,
    ("all", 1): _all,
    ("matches", 1): _matches,
    ("startsWith", 1): _starts_with,
    ("count", 0): lambda: lambda items: [len(items)],
    ("first", 0): lambda: lambda items: items[:1],
    ("extension", 1): _extension,
}
