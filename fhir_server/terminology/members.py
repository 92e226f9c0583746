"""What belongs to a value set, by system, so that a membership test is one or a few look-ups; and its algebra."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fhir_server.store.concepts import Wish
from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.filters import UNDER, Rule, System, holds
from fhir_server.terminology.large import LargeSystem

_SHORTEST_CATEGORY: Final = 3
_ALL: Final = 2**31


@dataclass(frozen=True, slots=True)
class Part:
    """The codes of a large system that satisfy every rule, but for those excluded; `active`: those still in use."""

    system: LargeSystem
    rules: tuple[Rule, ...] = ()
    excluded: tuple["Members", ...] = ()
    active: bool = False

    def has(self, code: str) -> bool:
        """Whether the code is one of them."""
        concept = self.system.find(code)
        return concept is not None and self._fits(code, concept)

    def _fits(self, code: str, concept: Concept) -> bool:
        if self.active and not concept.active:
            return False
        if any(one.has(code) is not False for one in self.excluded):
            return False
        return all(holds(self.system, code, concept, rule) for rule in self.rules)

    def walk(
        self, words: Sequence[str] = (), limit: int = _ALL, *, active: bool = False, skip: int = 0
    ) -> Iterator[tuple[str, Concept]]:
        """The codes with a word that begins like each of these, up to `limit`; behind `skip` others, where it is simple."""
        left, wish = limit, self._wish(words, active=active)
        if self.simple:
            yield from self.system.walk(wish, limit, skip)
            return
        for code, concept in self.system.walk(wish, _ALL):
            if self._fits(code, concept):
                yield code, concept
                left -= 1
                if not left:
                    return

    @property
    def simple(self) -> bool:
        """Whether the tables alone can tell its codes."""
        return not self.excluded and all(rule.op == "is-a" for rule in self.rules)

    @property
    def top(self) -> str | None:
        """The one concept under which all its codes stand and no others; None if it is another kind of part."""
        return self.rules[0].value if self.simple and len(self.rules) == 1 and not self.active else None

    def count(self, words: Sequence[str] = (), *, active: bool = False) -> int | None:
        """How many there are; None if that would have to be found out one by one."""
        return self.system.count(self._wish(words, active=active)) if self.simple else None

    def _wish(self, words: Sequence[str], *, active: bool) -> Wish:
        under = tuple(rule.value for rule in self.rules if rule.op in UNDER)
        return Wish(tuple(words), under, active or self.active)


@dataclass(frozen=True, slots=True)
class Members:
    """The codes of one system in one value set; `open` says that others may belong to it which we do not know.

    `source` is the version of the system that they were taken from, `designations` what the value set calls them.
    """

    codes: Mapping[str, str | None] = field(default_factory=dict)
    prefixes: frozenset[str] = frozenset()
    open: bool = False
    without: "Members | None" = None
    parts: tuple[Part, ...] = ()
    source: System | None = None
    designations: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def has(self, code: str) -> bool | None:
        """Whether the code belongs to the value set; None if this cannot be told."""
        answer = self._included(code)
        if answer is False or self.without is None:
            return answer
        excluded = self.without.has(code)
        return False if excluded else None if excluded is None else answer

    def _included(self, code: str) -> bool | None:
        if code in self.codes:
            return True
        if self.prefixes and any(code[:n] in self.prefixes for n in range(_SHORTEST_CATEGORY, len(code) + 1)):
            return True
        if any(part.has(code) for part in self.parts):
            return True
        return None if self.open else False

    @property
    def empty(self) -> bool:
        """Whether nothing at all can belong to it."""
        return not (self.codes or self.prefixes or self.open or self.parts)

    def listed(self) -> dict[str, str | None]:
        """The codes that are named, with displays; those of `parts` can be walked."""
        return {code: display for code, display in self.codes.items() if self.has(code)}

    def bare_parts(self) -> tuple[Part, ...]:
        """The parts, each knowing what is left out of it."""
        if self.without is None:
            return self.parts
        return tuple(replace(part, excluded=(*part.excluded, self.without)) for part in self.parts)

    def kept_prefixes(self) -> frozenset[str]:
        """The prefixes that are not left out as a whole."""
        return frozenset(prefix for prefix in self.prefixes if self.has(prefix))


def minus(members: Members, excluded: Members | None) -> Members:
    """What belongs to the first and not to the second."""
    if excluded is None:
        return members
    return replace(members, without=either(members.without, excluded) if members.without else excluded)


def in_use(members: Members) -> Members:
    """What belongs to it and is not out of use, as far as the system is here."""
    system = members.source
    if system is None:
        return members
    known = ((code, system.find(code)) for code in members.codes)
    ended = {code for code, concept in known if concept and not concept.active}
    codes = {code: display for code, display in members.codes.items() if code not in ended}
    return replace(members, codes=codes, parts=tuple(replace(part, active=True) for part in members.parts))


def either(one: Members, other: Members) -> Members:
    """What belongs to one or the other. What either leaves out again is taken code by code, so it stays exact."""
    still_open = one.open or other.open
    parts = (*one.bare_parts(), *other.bare_parts())
    if one.without is None and other.without is None:
        codes, prefixes = {**one.codes, **other.codes}, one.prefixes | other.prefixes
    else:
        codes, prefixes = {**one.listed(), **other.listed()}, one.kept_prefixes() | other.kept_prefixes()
    return Members(codes, prefixes, still_open, None, parts, *_told(one, other))


def both(one: Members, other: Members) -> Members:
    """What belongs to both; what only one side can tell of stays open."""
    codes = {code: display for code, display in one.listed().items() if other.has(code)}
    codes |= {code: display for code, display in other.listed().items() if one.has(code)}
    prefixes = frozenset(
        {p for p in one.kept_prefixes() if other.has(p)} | {p for p in other.kept_prefixes() if one.has(p)}
    )
    still_open = (one.open and not other.empty) or (other.open and not one.empty)
    return Members(codes, prefixes, still_open, None, _common(one, other), *_told(one, other))


def _told(one: Members, other: Members) -> tuple[System | None, Mapping[str, Sequence[Any]]]:
    return one.source or other.source, {**one.designations, **other.designations}


def _common(one: Members, other: Members) -> tuple[Part, ...]:
    return tuple(
        Part(part.system, (*part.rules, *same.rules), (*part.excluded, *same.excluded), part.active or same.active)
        for part in one.bare_parts()
        for same in other.bare_parts()
        if part.system is same.system
    )
