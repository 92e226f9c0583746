"""The FHIRPath that search parameters are written in, taken apart into steps and followed through R4's elements.

What is understood: unions, `as` and `ofType`, `where(resolve() is Type)`, `where(name='text')`, `extension('url')`, an
index, and polymorphic elements. Anything else raises Unsupported, and the caller asks a FHIRPath engine.
https://hl7.org/fhir/R4/fhirpath.html
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.fhir.elements import Element, ElementTable

Step = tuple[str, str, str]  # what it does, and up to two words: a name, a type, a member and the text it must have
Path = tuple[Step, ...]

_TOKEN = re.compile(r"\s*(?:('[^'\\]*')|(\w+)|([().|=\[\]]))")
_TRUTH = "http://hl7.org/fhir/special-values"  # true and false
_ROOTS = ("Resource", "DomainResource")


class Unsupported(Exception):
    """The expression uses what is not understood here."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step into JSON: a member, whether it is an array, and which of its items count."""

    name: str
    repeats: bool
    member: str = ""
    text: str = ""
    index: int = -1


@dataclass(frozen=True, slots=True)
class Track:
    """One way to values of a parameter: the hops, the data type at their end, the only resource type referred to."""

    hops: tuple[Hop, ...]
    kind: str
    element: Element | None = None
    target: str = ""


@lru_cache(maxsize=4096)
def paths(expression: str) -> tuple[Path, ...]:
    """The alternatives of an expression."""
    tokens = _tokens(expression)
    found = tuple(tuple(path) for path in _union(tokens))
    if tokens:
        raise Unsupported(expression)
    return found


def _tokens(expression: str) -> list[str]:
    tokens, at, text = [], 0, expression.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise Unsupported(expression)
        tokens.append(match[0].strip())
        at = match.end()
    return tokens[::-1]


def _take(tokens: list[str], *wanted: str) -> None:
    for word in wanted:
        if not tokens or tokens.pop() != word:
            raise Unsupported(word)


def _word(tokens: list[str]) -> str:
    if not tokens or not re.fullmatch(r"\w+", tokens[-1]):
        raise Unsupported("a name is missing")
    return tokens.pop()


def _text(tokens: list[str]) -> str:
    if not tokens or not tokens[-1].startswith("'"):
        raise Unsupported("a text is missing")
    return tokens.pop()[1:-1]


def _next(tokens: list[str], word: str) -> bool:
    return bool(tokens) and tokens[-1] == word


def _union(tokens: list[str]) -> list[list[Step]]:
    found = _path(tokens)
    while _next(tokens, "|"):
        tokens.pop()
        found += _path(tokens)
    return found


def _path(tokens: list[str]) -> list[list[Step]]:
    if _next(tokens, "("):
        tokens.pop()
        found = _union(tokens)
        _take(tokens, ")")
    else:
        found = [[("name", _word(tokens), "")]]
    steps = list(_steps(tokens))
    if _next(tokens, "as"):
        tokens.pop()
        steps.append(("as", _word(tokens), ""))
    return [path + steps for path in found]


def _steps(tokens: list[str]) -> Iterator[Step]:
    while tokens and tokens[-1] in (".", "["):
        if tokens.pop() == "[":
            yield "index", _word(tokens), ""
            _take(tokens, "]")
            continue
        name = _word(tokens)
        yield _call(name, tokens) if _next(tokens, "(") else ("name", name, "")


def _call(name: str, tokens: list[str]) -> Step:
    _take(tokens, "(")
    step = _function(name, tokens)
    _take(tokens, ")")
    return step


def _function(name: str, tokens: list[str]) -> Step:
    if name in ("as", "ofType"):
        return "as", _word(tokens), ""
    if name == "extension":
        return "extension", _text(tokens), ""
    if name == "first":
        return "index", "0", ""
    if name != "where":
        raise Unsupported(name)
    member = _word(tokens)
    if member == "resolve":
        _take(tokens, "(", ")", "is")
        return "is", _word(tokens), ""
    _take(tokens, "=")
    return "where", member, _text(tokens)


def tracks(elements: ElementTable, kind: str, expression: str) -> tuple[Track, ...]:
    """Every way from a resource of type `kind` to values of the expression; Unsupported if there is none."""
    found: list[Track] = []
    for path in paths(expression):
        ends = _follow(elements, kind, path)
        if not ends:
            raise Unsupported(expression)
        found += ends
    return tuple(dict.fromkeys(found))


def _follow(elements: ElementTable, kind: str, path: Path) -> list[Track]:
    at = [Track((), kind)]
    for number, step in enumerate(path):
        if number == 0 and step[1] in (kind, *_ROOTS):
            continue
        at = [after for track in at for after in _step(elements, track, step)]
    return [end for track in at for end in _end(elements, track)]


def _end(elements: ElementTable, track: Track) -> Iterable[Track]:
    return _step(elements, track, ("name", "value", "")) if track.kind == "Extension" else (track,)


def _step(elements: ElementTable, track: Track, step: Step) -> Sequence[Track]:
    verb, word, text = step
    if verb == "name":
        return _members(elements, track, word)
    if verb == "as":
        return [track] if track.kind == word else []
    if verb == "is":
        return [replace(track, target=word)]
    if verb == "extension":
        found = _members(elements, track, "extension")
        return [_filtered(one, member="url", text=word) for one in found]
    if verb == "index":
        return [_filtered(track, index=int(word))]
    return [_filtered(track, member=word, text=text)]


def _filtered(track: Track, *, member: str = "", text: str = "", index: int = -1) -> Track:
    last = track.hops[-1]
    if last.member or last.index >= 0:
        raise Unsupported("two filters on one step")
    return replace(track, hops=(*track.hops[:-1], replace(last, member=member, text=text, index=index)))


def _members(elements: ElementTable, track: Track, name: str) -> list[Track]:
    if track.kind not in elements:
        return []
    return [
        Track((*track.hops, Hop(json_name, element.max != 1)), code, element)
        for json_name, (element, code) in elements.members(track.kind).items()
        if json_name == name or (element.choice and element.name == f"{name}[x]")
    ]


@lru_cache(maxsize=8192)
def data_types(definitions: Definitions, kind: str, expression: str) -> frozenset[str]:
    """The data types of a parameter's values; none if its expression cannot be followed."""
    try:
        return frozenset(end.kind for end in tracks(definitions.elements, kind, expression))
    except Unsupported:
        return frozenset()


@lru_cache(maxsize=8192)
def is_single(definitions: Definitions, kind: str, expression: str) -> bool:
    """Whether a resource has at most one value of a parameter: one element that does not repeat, of whatever type."""
    try:
        ends = tracks(definitions.elements, kind, expression)
    except Unsupported:
        return False
    elements = {end.element.path for end in ends if end.element}
    return len(elements) == 1 and not any(hop.repeats for end in ends for hop in end.hops)


@lru_cache(maxsize=8192)
def bound_to(definitions: Definitions, kind: str, expression: str, value_set: str) -> bool:
    """Whether the values of a parameter are codes that R4 binds to this value set."""
    try:
        ends = tracks(definitions.elements, kind, expression)
    except Unsupported:
        return False
    return all(end.element is not None and end.element.binding.partition("|")[0] == value_set for end in ends)


@lru_cache(maxsize=8192)
def implied_systems(definitions: Definitions, kind: str, expression: str) -> frozenset[str]:
    """The code systems behind `code` elements of a parameter, where R4 binds them to a set it lists, and booleans."""
    try:
        ends = tracks(definitions.elements, kind, expression)
    except Unsupported:
        return frozenset()
    bindings = [end.element.binding for end in ends if end.kind == "code" and end.element]
    found = frozenset(system for binding in bindings for system in definitions.elements.codes(binding))
    return found | {_TRUTH} if any(end.kind == "boolean" for end in ends) else found


def reference_targets(definitions: Definitions, param: SearchParam) -> tuple[str, ...]:
    """The resource types a reference parameter can point to; all of them if nothing narrows it."""
    try:
        only = {step[1] for path in paths(param.expression) for step in path if step[0] == "is"}
    except Unsupported:
        only = set()
    narrowed = tuple(kind for kind in param.targets if kind in only) if only else param.targets
    return narrowed or tuple(sorted(only)) or definitions.types
