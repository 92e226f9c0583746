"""What a search asks, as small frozen values: criteria, order, includes, and the kinds of search parameters.

https://hl7.org/fhir/R4/search.html
"""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from sqlalchemy import BindParameter, ColumnElement, FromClause, Table

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.fhir.values import PACIFIC
from fhir_server.terminology.codes import Terminology


@dataclass(frozen=True, slots=True)
class Site:
    """Where the server stands: its definitions, its time zone, the base URL of its own resources, and its codes."""

    definitions: Definitions
    zone: tzinfo = PACIFIC
    base: str = ""
    terminology: Terminology | None = None


_TO_ENCODE = re.compile(r"[^A-Za-z0-9_.~-]+")
_encode_run = lru_cache(maxsize=1024)(quote_plus)  # runs of signs are few, and the library takes them one by one


def _encoded(text: str) -> str:
    """As a form has it, so that it stays one parameter of a URL's query."""
    return _TO_ENCODE.sub(lambda run: _encode_run(run[0]), text)


Param = tuple[str, str]  # a resource type, and the code of one of its search parameters
INSIDE = "#"  # before a type: as contained in other resources, whose values stand in lists of their own


@dataclass(frozen=True, slots=True)
class Term:
    """One OR-value: which comparison, and the values it binds."""

    op: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A parameter of `type` compared with terms, any of which may hold; `kind` names its search type.

    `others` are further parameters, each a type and a code, whose values count as much.
    """

    type: str
    code: str
    kind: str
    terms: tuple[Term, ...]
    modifier: str = ""
    others: tuple[Param, ...] = ()

    @property
    def params(self) -> tuple[Param, ...]:
        """Every parameter whose values count."""
        return ((self.type, self.code), *self.others)


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference of `type` to a resource that meets a criterion; one branch per possible target type."""

    type: str
    code: str
    branches: tuple[tuple[str, "Criterion"], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of type `source`, which refers to the searched one by `code`, meets a criterion."""

    type: str
    source: str
    code: str
    inner: "Criterion"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part is met."""

    parts: tuple["Criterion", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part is met."""

    parts: tuple["Criterion", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is not met."""

    part: "Criterion"


Criterion = Match | Chain | Has | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of _sort: the parameters that hold its values, and the references that lead to them, if any.

    `via`: each step is a reference parameter and the type it is followed to.
    """

    params: tuple[Param, ...]
    kind: str
    descending: bool
    via: tuple[tuple[tuple[Param, ...], str], ...] = ()


@dataclass(frozen=True, slots=True)
class Include:
    """One _include or (reverse) _revinclude; `target` is "" for any type."""

    source: str
    code: str
    target: str
    iterate: bool
    reverse: bool


@dataclass(frozen=True)
class SearchQuery:
    """A search, understood. `pairs` are the parameters that were used, in order, for the self link.

    type: "" for several, which `types` names, none of them meaning all. within: the compartment, such as Patient/1.
    contained: false, true or both; contained_type: container or contained, what of a contained match is the answer.
    after: the sort values and row number beyond which the page lies; `backward`: before them instead.
    """

    type: str
    types: tuple[str, ...] = ()
    within: str = ""
    criteria: tuple[Criterion, ...] = ()
    sort: tuple[SortKey, ...] = ()
    includes: tuple[Include, ...] = ()
    count: int = 50
    total: str = "none"
    summary: str = "false"
    fields: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    contained: str = "false"
    contained_type: str = "container"
    after: tuple[Any, ...] | None = None
    backward: bool = False
    known_total: int | None = None

    @property
    def path(self) -> str:
        """Where it is asked, below the base URL."""
        return f"{self.within}/{self.type or '*'}" if self.within else self.type

    @property
    def named(self) -> tuple[str, ...]:
        """The types that the search names; none if it asks about all."""
        return (self.type,) if self.type else self.types

    @property
    def finds_containers(self) -> bool:
        """Whether the matches are contained resources and the answers what contains them."""
        return self.contained == "true" and self.contained_type == "container"

    @property
    def interaction(self) -> str:
        """What FHIR calls it."""
        return "search-compartment" if self.within else "search-type" if self.type else "search-system"

    @cached_property
    def text(self) -> str:
        """The parameters as a URL's query."""
        return "&".join([f"{_encoded(name)}={_encoded(value)}" for name, value in self.pairs])

    @property
    def counts_only(self) -> bool:
        """Whether only the number of matches is asked for."""
        return self.summary == "count" or self.count == 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One value of a parameter on its way to terms: where it was written, and how."""

    site: Site
    type: str
    param: SearchParam
    name: str
    modifier: str = ""


Adder = Callable[[tuple[Any, ...]], None]


class Adders(NamedTuple):
    """Where converters put index rows: one per posting list."""

    tok: Adder
    string: Adder
    dat: Adder
    ref: Adder
    uri: Adder
    num: Adder
    qty: Adder
    comp: Adder
    geo: Adder


Converter = Callable[[Adders, Any, Any], None]
Binds = Sequence[BindParameter[Any]]


@dataclass(frozen=True, slots=True)
class SearchType:
    """A kind of search parameter: how values are written, indexed and compared.

    `ordered` ops match rows that lie in the posting list in rid order; `single` ops match a resource at most once.
    """

    name: str
    table: Table
    modifiers: frozenset[str]
    parse: Callable[[str, Asked], tuple[Term, ...]]
    clause: Callable[[FromClause, str, Sequence[Binds]], ColumnElement[bool]]
    converters: Callable[[Site], Mapping[str, Converter]]
    ordered: frozenset[str] = frozenset()
    single: frozenset[str] = frozenset()
    sort: str = ""


OWN_KINDS = frozenset({"id", "instant"})  # answered by the resource row itself: _id and _lastUpdated


def shape(criterion: Criterion) -> Hashable:
    """What of a criterion decides its SQL: everything but the values."""
    if isinstance(criterion, Match):
        ops = tuple([term.op for term in criterion.terms])
        return criterion.params, criterion.kind, criterion.modifier, ops
    if isinstance(criterion, Chain):
        return criterion.type, criterion.code, tuple([(target, shape(inner)) for target, inner in criterion.branches])
    if isinstance(criterion, Has):
        return criterion.source, criterion.code, shape(criterion.inner)
    return type(criterion), tuple([shape(part) for part in parts(criterion)])


def parts(criterion: AllOf | AnyOf | Not) -> tuple[Criterion, ...]:
    """The criteria that one is made of."""
    return (criterion.part,) if isinstance(criterion, Not) else criterion.parts


def values(criterion: Criterion) -> Iterator[Any]:
    """The values a criterion binds, in the order in which its SQL names them."""
    if isinstance(criterion, Match):
        for term in criterion.terms:
            yield from term.values
    elif isinstance(criterion, Chain):
        for _, inner in criterion.branches:
            yield from values(inner)
    elif isinstance(criterion, Has):
        yield from values(criterion.inner)
    else:
        for part in parts(criterion):
            yield from values(part)
