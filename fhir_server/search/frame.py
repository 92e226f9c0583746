"""What every search statement is made of: resource aliases that are always seen through the caller's eyes, posting
lists, named binds, and joins whose order the planner must keep.

The two databases are told apart in `follow` alone: SQLite keeps the order of a CROSS JOIN, PostgreSQL that of a lateral
sub-select with OFFSET 0.  https://www.sqlite.org/optoverview.html#crossjoin
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    Exists,
    FromClause,
    Integer,
    Join,
    Select,
    Subquery,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from fhir_server.fhir.definitions import type_number
from fhir_server.search import queues
from fhir_server.search.model import INSIDE, Criterion, Match, Param, SearchType, Term, values
from fhir_server.search.types import search_types
from fhir_server.store.resources import TENANT, Visible
from fhir_server.store.tables import ref

LEVELS = 4  # up or down a hierarchy

Columns = Sequence[str]


class InOrder(Join):
    """A join that is walked from left to right."""


def _in_order(join: InOrder, compiler: SQLCompiler, **how: Any) -> str:
    how["asfrom"] = True
    left, right = compiler.process(join.left, **how), compiler.process(join.right, **how)
    assert join.onclause is not None  # noqa: S101 - follow() always gives one
    return f"{left} CROSS JOIN {right} ON {compiler.process(join.onclause, **how)}"


compiles(InOrder)(_in_order)


def number(value: int) -> ColumnElement[int]:
    """A whole number written into the SQL text, so that the planner knows it."""
    return literal_column(str(value), Integer)


ZERO, ONE = number(0), number(1)


class Names:
    """Binds for the values of a criterion, named in the order in which `model.values` yields them."""

    def __init__(self, prefix: str, left: Iterator[tuple[int, Any]]) -> None:
        self._prefix = prefix
        self._left = left

    def take(self, term: Term) -> list[BindParameter[Any]]:
        """One bind per value of the term."""
        return [bind(f"{self._prefix}{place}", sample) for place, sample in islice(self._left, len(term.values))]

    def twice(self, part: Criterion) -> "tuple[Names, Names]":
        """Names for a criterion that comes next, which is rendered in two places."""
        own = list(islice(self._left, sum(1 for _ in values(part))))
        return Names(self._prefix, iter(own)), Names(self._prefix, iter(own))

    def split(self, parts: Sequence[Criterion]) -> list["Names"]:
        """Names for each of these criteria, which come next; they can then be rendered in any order."""
        sizes = [sum(1 for _ in values(part)) for part in parts]
        return [Names(self._prefix, iter(list(islice(self._left, size)))) for size in sizes]


def bind(name: str, sample: object) -> BindParameter[Any]:
    """A named bind with the type of a sample value."""
    return bindparam(name, type_=BigInteger() if isinstance(sample, int) else Text())


def names_for(prefix: str, criterion: Criterion) -> Names:
    """Fresh names for one rendering of a criterion."""
    return Names(prefix, enumerate(values(criterion)))


@dataclass(slots=True)
class Frame:
    """One statement under construction.

    veiled: the parameters by which a resource is found only through targets that the caller may see, because what it is
    shown leaves out the others.
    """

    dialect: str
    visible: Visible
    params: Mapping[tuple[str, str], int]
    veiled: Collection[tuple[str, str]] = ()
    numbers: Iterator[int] = field(default_factory=count)

    def resource(self, kind: str = "", *, by_hash: bool = False) -> tuple[Subquery, list[ColumnElement[bool]]]:
        """A new alias of the resource table, as far as the caller may see it, and what makes its rows current ones.

        `by_hash` says that rows will be looked up by their hash. The type must then not tempt the planner: without
        statistics SQLite takes any index on an equal column for as good as another.
        """
        r = self.visible(f"r{next(self.numbers)}", of=None if by_hash else kind or None)
        current: list[ColumnElement[bool]] = [r.c.deleted.is_(False)]
        if kind:
            current.append((r.c.type + ZERO if by_hash else r.c.type) == number(type_number(kind)))
        return r, current

    def contained(self, kind: str) -> tuple[Subquery, list[ColumnElement[bool]]]:
        """A new alias of what resources contain of a type, as far as the caller may see the containers."""
        r = self.visible.contained(f"r{next(self.numbers)}", of=kind)
        return r, [r.c.deleted.is_(False)]

    def number_of(self, param: Param) -> int:
        """The number of a parameter in the posting lists; what contained resources say stands under it with a minus."""
        kind, code = param
        return -self.params[kind[1:], code] if kind.startswith(INSIDE) else self.params[param]

    def param(self, row: FromClause, *params: Param) -> ColumnElement[bool]:
        """The condition that a posting row belongs to one of these parameters."""
        numbers = sorted({self.number_of(one) for one in params})
        if len(numbers) == 1:
            return row.c.param == number(numbers[0])
        return row.c.param.in_([number(one) for one in numbers])


def _kind(match: Match) -> SearchType:
    return queues.TYPE if match.kind == queues.NAME else search_types()[match.kind]


def groups(match: Match, *, apart: bool) -> list[list[Term]]:
    """The terms of a match by comparison; with `apart`, ranges each for itself, because each is a place in the list."""
    ordered = _kind(match).ordered
    found: dict[object, list[Term]] = {}
    for position, term in enumerate(match.terms):
        alone = apart and term.op not in ordered and not _is_kin(term.op)
        found.setdefault(position if alone else term.op, []).append(term)
    return list(found.values())


def _fits(frame: Frame, match: Match, row: FromClause, terms: Sequence[Term], names: Names) -> ColumnElement[bool]:
    """That a posting row fits one of the terms, all of one comparison."""
    op, binds = terms[0].op, [names.take(term) for term in terms]
    if not _is_kin(op):
        return _kind(match).clause(row, op, binds)
    way, kind, parent = op.split()
    hashes = select(kin(frame, way, (kind, parent), [one for (one,) in binds]).c.rh)
    if frame.dialect == "sqlite":
        return row.c.tgt.in_(hashes)
    return row.c.tgt == any_(
        func.array(hashes.scalar_subquery(), type_=ARRAY(BigInteger()))
    )  # asked for once, by index


def _is_kin(op: str) -> bool:
    """Whether a comparison is with what stands above or below in a hierarchy."""
    return op.startswith(("above ", "below "))


def kin(frame: Frame, way: str, parent: Param, roots: Sequence[BindParameter[Any]]) -> CTE:
    """The hashes (rh) of these resources and of what stands above or below them, by a reference of their type.

    A step leads from what the caller may see to what it may see, save that a root above which, or whose parts, nobody
    looks for need not be seen.
    """
    told = union_all(*[select(cast(root, BigInteger).label("rh")) for root in roots]).subquery()
    tree = select(told.c.rh, ZERO.label("level")).cte(f"kin{next(frame.numbers)}", recursive=True)
    link, conditions = ref.alias(), [tree.c.level < number(LEVELS)]
    if way == "below":
        found, current = frame.resource(parent[0])
        source = joined(frame, joined(frame, tree, link, link.c.tgt == tree.c.rh), found, and_(*same(link, found)))
    else:
        inner, seen = frame.resource(parent[0], by_hash=True)
        found, current = frame.resource(parent[0], by_hash=True)
        source = joined(frame, tree, inner, inner.c.rh == tree.c.rh)
        source = joined(frame, joined(frame, source, link, and_(*same(link, inner))), found, found.c.rh == link.c.tgt)
        conditions += seen
    conditions += [*current, frame.param(link, parent)]
    return tree.union(select(found.c.rh, tree.c.level + ONE).select_from(source).where(*conditions))


def posting(frame: Frame, match: Match, terms: Sequence[Term], names: Names) -> Select[Any]:
    """(rid, part) of every posting row that fits one of the terms, all of one comparison."""
    row = _kind(match).table.alias()
    return select(row.c.rid, row.c.part).where(
        frame.param(row, *match.params),
        _fits(frame, match, row, terms, names),
        row.c.tenant == number(TENANT),
        *unveiled(frame, match, row),
    )


def unveiled(frame: Frame, match: Match, row: FromClause) -> list[ColumnElement[bool]]:
    """That the caller may see what a posting row refers to, where that matters."""
    veiled = [one for one in match.params if (one[0].removeprefix(INSIDE), one[1]) in frame.veiled]
    if not veiled:
        return []
    target, current = frame.resource(by_hash=True)
    seen: ColumnElement[bool] = fenced(select(ONE).where(target.c.rh == row.c.tgt, *current), row)
    return [seen if len(veiled) == len(match.params) else or_(not_(frame.param(row, *veiled)), seen)]


def any_posting(frame: Frame, r: Subquery, table: Table, params: Sequence[Param]) -> Exists:
    """Whether a resource has any row of one of these parameters."""
    row = table.alias()
    return fenced(select(ONE).where(*same(row, r), frame.param(row, *params)), r)


def some_posting(frame: Frame, r: Subquery, match: Match, names: Names) -> Exists:
    """Whether a resource has a posting row that fits one of the terms."""
    row = _kind(match).table.alias()
    fits = or_(*[_fits(frame, match, row, terms, names) for terms in groups(match, apart=False)])
    seen = unveiled(frame, match, row)
    return fenced(select(ONE).where(*same(row, r), frame.param(row, *match.params), fits, *seen), r)


def same(row: FromClause, r: FromClause) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """That two rows belong to one resource."""
    return row.c.rid == r.c.rid, row.c.part == r.c.part


def fenced(query: Select[Any], r: FromClause) -> Exists:
    """EXISTS, asked once per row of `r`: with an OFFSET PostgreSQL does not turn it into a join of its own choosing."""
    return query.correlate(r).offset(ZERO).exists()


def joined(frame: Frame, first: FromClause, then: FromClause, on: ColumnElement[bool]) -> FromClause:
    """A join whose order the planner keeps."""
    return InOrder(first, then, on) if frame.dialect == "sqlite" else first.join(then, on)


def follow(
    frame: Frame,
    driver: FromClause,
    on: Sequence[tuple[str, str]],
    r: Subquery,
    conditions: Sequence[ColumnElement[bool]],
    columns: Columns,
) -> tuple[Select[Any], FromClause]:
    """From each row of `driver` to the rows of `r` with equal columns, in that order.

    Returns a select of `columns`, and what those columns now belong to.
    """
    equal = and_(*[r.c[theirs] == driver.c[ours] for ours, theirs in on])
    if frame.dialect == "sqlite":
        return select(*[r.c[name] for name in columns]).select_from(InOrder(driver, r, equal)).where(*conditions), r
    wanted = dict.fromkeys(columns)
    inner = select(*[r.c[name] for name in wanted]).where(equal, *conditions).correlate(driver).offset(ZERO)
    found = inner.lateral(f"q{next(frame.numbers)}")
    return select(*[found.c[name] for name in columns]).select_from(driver.join(found, true())), found
