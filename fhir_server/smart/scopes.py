"""Granting scopes: what was asked for, cut down to what is registered.

Type-level system scopes, in the syntax of SMART 2 (`system/Patient.rs`) and SMART 1 (`system/Patient.read`).
https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from authlib.oauth2.rfc6749 import InvalidScopeError

_LETTERS = "cruds"
_LONGEST = 8192  # characters: room for a scope of every type
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
_PREFIX = "http://smarthealthit.org/fhir/scopes/"
_SCOPE = re.compile(r"system/(?P<type>[A-Z][A-Za-z]{0,63}|\*)\.(?:(?P<v1>read|write|\*)|(?P<v2>(?=.)c?r?u?d?s?))")


class Scope(NamedTuple):
    """One type-level system scope; `v1` is the SMART 1 word it was written with, or ""."""

    type: str
    letters: frozenset[str]
    v1: str


def read(word: str) -> Scope | None:
    """The scope in one word; None for anything that is no type-level system scope."""
    match = _SCOPE.fullmatch(word.removeprefix(_PREFIX))
    if match is None:
        return None
    v1 = match["v1"] or ""
    return Scope(match["type"], frozenset(_V1[v1] if v1 else match["v2"]), v1)


def letters_by_type(text: str) -> Mapping[str, frozenset[str]]:
    """The letters that a scope text gives for each type it names, and for `*`."""
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    for scope in filter(None, map(read, text.split())):
        found[scope.type] |= scope.letters
    return dict(found)


def unknown(text: str) -> list[str]:
    """The words of a scope text that are no type-level system scopes."""
    return [word for word in text.split() if read(word) is None]


def grant(requested: str, registered: str) -> str:
    """The scope text granted; InvalidScopeError for a scope beyond registration, a long text, or none understood.

    Words of unknown syntax, granular ones among them, are dropped: the answer's `scope` shows what was granted.
    """
    if len(requested) > _LONGEST:  # what tokens may do is kept in memory
        raise InvalidScopeError(f"Ask for scopes in {_LONGEST} characters at most, for example system/*.rs.")
    allowed = letters_by_type(registered)
    granted: list[str] = []
    for scope in filter(None, map(read, requested.split())):
        parts = list(_within(scope, allowed))
        if not parts:
            raise InvalidScopeError(f"system/{scope.type} with these rights lies beyond the client's registration.")
        granted += parts
    if not granted:
        raise InvalidScopeError("Ask for type-level system scopes, for example system/Patient.rs.")
    return " ".join(dict.fromkeys(granted))


def _within(scope: Scope, allowed: Mapping[str, frozenset[str]]) -> Iterator[str]:
    everywhere = scope.letters & allowed.get("*", frozenset())
    if scope.type != "*":
        yield from _spell(scope, scope.type, scope.letters & allowed.get(scope.type, frozenset()) | everywhere)
        return
    yield from _spell(scope, "*", everywhere)
    for name in sorted(allowed.keys() - {"*"}):
        yield from _spell(scope, name, (scope.letters & allowed[name]) - everywhere)


def _spell(asked: Scope, name: str, letters: frozenset[str]) -> Iterator[str]:
    if asked.v1 and letters == asked.letters:
        yield f"system/{name}.{asked.v1}"
    elif letters:
        yield f"system/{name}.{''.join(letter for letter in _LETTERS if letter in letters)}"
