"""_filter: expressions of comparisons, and, or, not -> the same criteria as any other search.

`and` binds closer than `or`; `ne` means that nothing equals. https://hl7.org/fhir/R4/search_filter.html
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import orjson

from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly
from fhir_server.search.criteria import parse_criterion
from fhir_server.search.model import AllOf, AnyOf, Chain, Criterion, Has, Match, Not, Site, Term, parts
from fhir_server.search.text import shown

MOST_COMPARISONS = 30
DEEPEST = 10

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([()\[\]])|([^\s()\[\]"]+))')
_SPECIAL = re.compile(r"([\\,|$])")
_ESCAPED = re.compile(r"([\\,])")
_ORDERED = frozenset({"gt", "lt", "ge", "le", "ap", "sa", "eb"})
_MODIFIERS = {"in": ":in", "ss": ":below", "sb": ":above", "co": ":contains", "ew": ":contains"}
_OPERATORS: Final = {
    "string": {"eq", "ne", "co", "sw", "ew", "pr"},
    "token": {"eq", "ne", "in", "ss", "sb", "pr"},
    "reference": {"eq", "ne", "re", "ss", "sb", "pr"},
    "uri": {"eq", "ne", "ss", "sb", "pr"},
    "date": {"eq", "ne", "po", "pr", *_ORDERED},
    "number": {"eq", "ne", "pr", *_ORDERED},
    "quantity": {"eq", "ne", "pr", *_ORDERED},
    "id": {"eq", "ne"},
    "instant": {"eq", "ne", *_ORDERED},
}
_COMPARES = frozenset().union(*_OPERATORS.values())


def parse_filter(site: Site, kind: str, text: str) -> Criterion:
    """The criterion that an expression asks of a type; BadValue where its grammar is broken, else as any parameter."""
    reader = _Reader(site, kind, _tokens(text))
    found = reader.either(0)
    if reader.left:
        raise BadValue(f"_filter: {shown(reader.left[-1])} stands where the expression could end, or and, or follow")
    return found


def _tokens(text: str) -> list[str]:
    """The tokens, last one first."""
    found, at, text = [], 0, text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadValue("_filter: a text is not closed; texts stand between double quotes")
        found.append(token[0].strip())
        at = token.end()
    return found[::-1]


@dataclass(slots=True)
class _Reader:
    """The tokens still to be read, the next one last."""

    site: Site
    kind: str
    left: list[str]
    comparisons: int = 0

    def either(self, depth: int) -> Criterion:
        """Alternatives."""
        return self._joined("or", lambda: self._both(depth), AnyOf)

    def _both(self, depth: int) -> Criterion:
        return self._joined("and", lambda: self._one(depth), AllOf)

    def _joined(self, word: str, read: Callable[[], Criterion], kind: type[AllOf | AnyOf]) -> Criterion:
        found = [read()]
        while self.left and self.left[-1].lower() == word:
            self.left.pop()
            found.append(read())
        return kind(tuple(found)) if len(found) > 1 else found[0]

    def _one(self, depth: int) -> Criterion:
        if depth > DEEPEST:
            raise TooCostly(f"_filter is nested more than {DEEPEST} deep")
        word = self._next("a parameter")
        if word == "(":
            return self._closed(depth)
        if word.lower() == "not" and self.left and self.left[-1] == "(":
            self.left.pop()
            return Not(self._closed(depth))
        return self._comparison(word)

    def _closed(self, depth: int) -> Criterion:
        found = self.either(depth + 1)
        if self._next("a closing bracket") != ")":
            raise BadValue("_filter: a bracket is not closed")
        return found

    def _comparison(self, name: str) -> Criterion:
        self.comparisons += 1
        if self.comparisons > MOST_COMPARISONS:
            raise TooCostly(f"_filter holds more than {MOST_COMPARISONS} comparisons")
        operator = self._next("a comparison such as eq")
        if operator == "[":
            raise NotSupported("_filter: conditions in square brackets are not offered; follow references by dots")
        if operator not in _COMPARES:
            raise BadValue(f"_filter: {shown(operator)} is no comparison; there are {', '.join(sorted(_COMPARES))}")
        return _compared(self.site, self.kind, name, operator, self._next("a value"))

    def _next(self, wanted: str) -> str:
        if not self.left:
            raise BadValue(f"_filter ends where {wanted} should follow")
        return self.left.pop()


def _compared(site: Site, kind: str, name: str, operator: str, token: str) -> Criterion:
    value = _value(token)
    if operator == "pr":
        if value not in ("true", "false"):
            raise BadValue("_filter: pr is compared with true or false")
        return parse_criterion(site, kind, f"{name}:missing", "false" if value == "true" else "true")
    found = parse_criterion(site, kind, name + _MODIFIERS.get(operator, ""), _written(operator, token, value))
    leaf = _leaf(found)
    _require_operator(name, operator, leaf)
    if operator in ("eq", "ne") and leaf.kind == "string":
        found = parse_criterion(site, kind, f"{name}:exact", _written(operator, token, value))
    if operator in _CHANGES:
        found = _changed(found, _CHANGES[operator])
    return Not(found) if operator == "ne" else found


def _value(token: str) -> str:
    if not token.startswith('"'):
        return token
    try:
        return str(orjson.loads(token))
    except orjson.JSONDecodeError:
        raise BadValue("_filter: a text holds a broken escape or a control character") from None


def _written(operator: str, token: str, value: str) -> str:
    """The value as a parameter has it: in a quoted text every sign means itself."""
    escaped = (_SPECIAL if token.startswith('"') else _ESCAPED).sub(r"\\\1", value)
    return operator + escaped if operator in _ORDERED else escaped


def _leaf(criterion: Criterion) -> Match:
    """The comparison at the end of a chain."""
    while not isinstance(criterion, Match):
        if isinstance(criterion, Chain):
            criterion = criterion.branches[0][1]
        elif isinstance(criterion, Has):
            criterion = criterion.inner
        else:
            criterion = parts(criterion)[0]
    return criterion


def _require_operator(name: str, operator: str, leaf: Match) -> None:
    kind = "token" if operator in ("in", "ss", "sb") and leaf.kind == "token" else leaf.kind
    if operator not in _OPERATORS.get(kind, set()):
        raise NotSupported(f"_filter: {operator} does not go with {shown(name)}, a parameter of type {leaf.kind}")


def _changed(criterion: Criterion, change: Callable[[Term], Term]) -> Criterion:
    if isinstance(criterion, Match):
        return replace(criterion, terms=tuple(change(term) for term in criterion.terms))
    if isinstance(criterion, Chain):
        branches = tuple((kind, _changed(inner, change)) for kind, inner in criterion.branches)
        return replace(criterion, branches=branches)
    if isinstance(criterion, Has):
        return replace(criterion, inner=_changed(criterion.inner, change))
    return criterion


_CHANGES: Final[dict[str, Callable[[Term], Term]]] = {
    "ew": lambda term: replace(term, values=(term.values[0].removesuffix("%"),)),  # a part -> an end
    "po": lambda term: replace(term, op="ap"),  # overlaps; the margin of ap is in its values
}
