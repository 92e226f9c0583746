"""Running searches: choose the way, fetch a page and what goes along with it, offer the next.

Statements are compiled once per shape of query and kind of caller; bodies are handed on as stored bytes.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from sqlalchemy import Connection, Select

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import NotSupported
from fhir_server.fhir.values import PACIFIC
from fhir_server.search import containing
from fhir_server.search.compile import BOUND, FAR, Plan, edge, prefix, probe
from fhir_server.search.drivers import can_drive, can_walk
from fhir_server.search.frame import Frame
from fhir_server.search.include import Hit, included
from fhir_server.search.lengths import LongLists
from fhir_server.search.model import Match, SearchQuery, shape, values
from fhir_server.search.paging import Place, Sealer
from fhir_server.search.query import LARGEST_PAGE, parse
from fhir_server.search.worklists import is_ordered
from fhir_server.store.resources import Visible
from fhir_server.store.statements import Statement, Statements
from fhir_server.terminology.codes import Terminology

_AHEAD = 5  # times a page: what is looked at first of a long list
_FURTHER = 8  # times as much when that was not enough
_LONG = 100  # postings
_SIZES = (2, 11, 21, 51, 101, LARGEST_PAGE + 1)  # written into the SQL: a planner must know how little is wanted


@dataclass(frozen=True, slots=True)
class Page:
    """One page of matches, and what was included. `total` is None unless known; the tokens unless there is more."""

    query: SearchQuery
    hits: Sequence[Hit] = ()
    included: Sequence[Hit] = ()
    total: int | None = None
    next_token: str | None = None
    prev_token: str | None = None


class Searcher:
    """Searches of one deployment; holds compiled statements and nothing else."""

    def __init__(
        self,
        definitions: Definitions,
        params: Mapping[tuple[str, str], int],
        zone: tzinfo = PACIFIC,
        secret: bytes = b"",
        base: str = "",
        terminology: Terminology | None = None,
    ) -> None:
        self._definitions, self._params, self._zone, self._base = definitions, params, zone, base
        self._terminology = terminology
        self.veiled: set[tuple[str, str]] = set()  # filled while the engine is built, see frame.Frame
        self._sealer = Sealer(secret)
        self._statements = Statements()
        self.long_lists = LongLists()

    def define(self, definitions: Definitions) -> None:
        """Search by other definitions from now on."""
        self._definitions = definitions

    def parse(
        self, kind: str, pairs: Sequence[tuple[str, str]], *, lenient: bool = False, within: str = ""
    ) -> SearchQuery:
        """The query that pairs ask, with this deployment's zone and base; raises as `search.query.parse` does."""
        return parse(
            self._definitions,
            kind,
            pairs,
            lenient=lenient,
            within=within,
            zone=self._zone,
            base=self._base,
            terminology=self._terminology,
        )

    def resume(self, token: str, identity: str, now_ms: int) -> SearchQuery:
        """The query whose further page a token offers; BadValue, NotFound or ExpiredPage if it cannot be used."""
        place = self._sealer.open(token, identity, now_ms)
        query = self.parse(place.type, place.pairs, within=place.within)
        return replace(query, after=place.after, known_total=place.total, backward=place.backward)

    def search(
        self, connection: Connection, query: SearchQuery, visible: Visible, *, identity: str = "", now_ms: int = 0
    ) -> Page:
        """One page of what the caller may see; those beside it can be fetched by `identity` only."""
        run = _Run(self, connection, query, visible)
        if query.counts_only:
            return Page(query, total=run.count())
        rows = run.page(query.count + 1)
        more = len(rows) > query.count
        rows = rows[: query.count]
        hits = [Hit(*row[: len(Hit._fields)]) for row in rows]
        number = run.total(len(hits), more=more)

        def token(row: tuple[Any, ...], *, backward: bool) -> str:
            edge = (*row[len(Hit._fields) :], row[0])
            place = Place(query.type, query.within, query.pairs, edge, number, backward)
            return self._sealer.seal(place, identity, now_ms)

        onward = token(rows[-1], backward=query.backward) if more else None
        back = token(rows[0], backward=not query.backward) if rows and query.after is not None else None
        along = included(run.rows, hits, query.includes)
        if query.backward:
            return Page(query, hits[::-1], along, number, back, onward)
        return Page(query, hits, along, number, onward, back)

    def match(self, connection: Connection, query: SearchQuery, visible: Visible, limit: int = 2) -> list[Hit]:
        """Up to `limit` visible matches, for conditional interactions; NotSupported for contained resources."""
        if query.contained != "false":
            raise NotSupported("a condition is about resources with an id of their own; leave out _contained")
        run = _Run(self, connection, replace(query, after=None), visible)
        return [Hit(*row[: len(Hit._fields)]) for row in run.page(limit)]

    def count(self, connection: Connection, query: SearchQuery, visible: Visible, bound: int | None = None) -> int:
        """The number of visible matches, counted no further than `bound`."""
        return _Run(self, connection, query, visible).count(bound)

    def statement(
        self, key: Hashable, connection: Connection, visible: Visible, build: Callable[[Frame], Select[Any]]
    ) -> Statement:
        """The compiled statement under a key, built on first use; the least recently used are dropped."""
        dialect = connection.dialect.name

        def made() -> Select[Any]:
            return build(Frame(dialect, visible, self._params, self.veiled))

        return self._statements.of((key, visible.shape, dialect), made, connection.dialect)


class _Run:
    """One query on one connection."""

    def __init__(self, searcher: Searcher, connection: Connection, query: SearchQuery, visible: Visible) -> None:
        self._searcher, self._connection, self._query, self._visible = searcher, connection, query, visible
        criteria = tuple([shape(criterion) for criterion in query.criteria])
        self._shape = (query.type, query.types, query.contained, query.contained_type, criteria)
        self._values = dict(visible.binds)
        for position, criterion in enumerate(query.criteria):
            name = prefix(position)
            self._values.update({f"{name}{number}": value for number, value in enumerate(values(criterion))})
        self._arms: tuple[containing.Arm, ...] = ()
        self._listed = 0  # postings of the list that the page is gathered from, where they were counted

    def rows(
        self, key: Hashable, build: Callable[[Frame], Select[Any]], bound: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement, compiled at most once."""
        statement = self._searcher.statement(key, self._connection, self._visible, build)
        return statement.rows(self._connection, {**self._values, **bound})

    def page(self, limit: int) -> list[tuple[Any, ...]]:
        """The rows of the page and one more, if there is one: hit columns, then sort values."""
        arms = self._ways()
        fetched = next(size for size in _SIZES if size >= limit)
        return (self._newest(arms, fetched, limit) or self._page(arms, fetched, {}))[:limit]

    def _page(self, arms: Sequence[containing.Arm], fetched: int, bound: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        query, after = self._query, self._query.after is not None
        key = ("page", self._shape, query.sort, _plans(arms), after, query.backward, fetched)
        return self.rows(
            key, lambda frame: containing.pages(frame, arms, fetched, after=after), {**self._last(), **bound}
        )

    def _newest(self, arms: Sequence[containing.Arm], fetched: int, limit: int) -> list[tuple[Any, ...]]:
        """The page out of the newest part of a long list, so that the rest need not be looked up; [] if it has less."""
        (query, plan), ahead = arms[0], _AHEAD * limit
        if len(arms) > 1 or query.sort or plan.way != "gather":
            return []
        while max(ahead, _LONG) < self._listed and (edge := self._edge(query, plan, ahead)):
            rows = self._page(((query, replace(plan, newest=True)),), fetched, {"edge": edge})
            if len(rows) >= limit:
                return rows
            ahead *= _FURTHER
        return []

    def _edge(self, query: SearchQuery, plan: Plan, ahead: int) -> int:
        """The row number so many places ahead in the list; 0 if it ends before."""
        after = query.after is not None
        key = ("edge", self._shape, plan, after, query.backward, ahead)
        found = self.rows(key, lambda frame: edge(frame, query, plan, ahead, after=after), self._last())
        return int(found[0][0]) if found else 0

    def _last(self) -> dict[str, Any]:
        after = self._query.after
        if after is None:
            return {}
        if self._query.sort:
            return {f"l{number}": value for number, value in enumerate(after)}
        return {"after": after[-1]}

    def total(self, shown: int, *, more: bool) -> int | None:
        """The number of all matches, if it is known without counting or was asked for."""
        query = self._query
        if query.after is None and not more:
            return shown
        if query.known_total is not None or query.total == "none":
            return query.known_total
        return self.count(None if query.total == "accurate" else BOUND)

    def count(self, bound: int | None = None) -> int:
        """The number of matches, counted no further than `bound`."""
        arms = self._ways()
        key = ("total", self._shape, _plans(arms), bound)
        found = self.rows(key, lambda frame: containing.total(frame, arms, bound), {})
        return int(found[0][0])

    def _ways(self) -> tuple[containing.Arm, ...]:
        if not self._arms:
            arms = containing.arms(self._query)
            self._arms = tuple([(arm, self._among(arm) if arm.contained == "true" else self._choose()) for arm in arms])
        return self._arms

    def _among(self, query: SearchQuery) -> Plan:
        """A plan for contained resources: by id, over the type's if they are few, or by what the probe found."""
        if any(isinstance(one, Match) and one.kind == "id" and not one.modifier for one in query.criteria):
            return Plan("scan small")
        drivers = [position for position, criterion in enumerate(query.criteria) if containing.can_list(criterion)]
        key = ("probe among", self._shape, tuple(drivers))
        *counts, there = self.rows(key, lambda frame: containing.probed(frame, query, drivers, BOUND), {})[0]
        if there < BOUND:
            return Plan("scan small")
        fewest, best = min(zip(counts, drivers, strict=True), default=(BOUND, -1))
        return self._drive(best) if fewest < BOUND else Plan("scan")

    def _choose(self) -> Plan:
        """A plan: by id, along the only list there is, or by what the probe found."""
        criteria, order = self._query.criteria, self._query.sort
        own = {one.kind for one in criteria if isinstance(one, Match) and not one.modifier}
        if "id" in own:
            return Plan("scan small")
        drivers = [position for position, criterion in enumerate(criteria) if can_drive(criterion)]
        if not drivers:
            return Plan("scan")
        if len(drivers) == 1 and is_ordered(criteria[drivers[0]], order):
            return Plan("queue", drivers[0])
        if len(drivers) == 1 and (self._sorts_by_value() if order else can_walk(criteria[drivers[0]])):
            return self._drive(drivers[0])
        return self._probed(drivers)

    def _probed(self, drivers: list[int]) -> Plan:
        query = self._query
        fewest, best = min((count, position) for position, count in self._counted(drivers).items())
        if fewest < BOUND:
            self._listed = fewest if isinstance(query.criteria[best], Match) else 0
            return self._drive(best)
        queue = next((one for one in drivers if is_ordered(query.criteria[one], query.sort)), None)
        if queue is not None:
            return Plan("queue", queue)
        walkable = [position for position in drivers if can_walk(query.criteria[position])]
        if self._sorts_by_value():
            return self._drive((walkable or drivers)[0])
        if query.sort:
            return Plan("scan")
        return self._drive(walkable[0]) if walkable else self._far(best)

    def _counted(self, drivers: Sequence[int]) -> dict[int, int]:
        """How many resources each of the criteria lists, up to BOUND; one statement, if any is not known to be long."""
        query, known = self._query, self._searcher.long_lists
        unknown = [position for position in drivers if not known.has(query.criteria[position])]
        counts = dict.fromkeys(drivers, BOUND)
        if unknown:
            key = ("probe", self._shape, tuple(unknown))
            found = self.rows(key, lambda frame: probe(frame, query, unknown, BOUND), {})[0]
            counts.update(zip(unknown, found, strict=True))
        for position in unknown:
            if counts[position] >= BOUND:
                known.add(query.criteria[position])
        return counts

    def _far(self, position: int) -> Plan:
        """A plan for a long list that cannot be walked: the longer it is, the sooner the type's newest rows meet it."""
        query = self._query
        if not isinstance(query.criteria[position], Match):
            return Plan("scan")
        key = ("far", self._shape, position)
        self._listed = int(self.rows(key, lambda frame: probe(frame, query, [position], FAR), {})[0][0])
        return self._drive(position) if self._listed < FAR else Plan("scan")

    def _drive(self, position: int) -> Plan:
        return Plan("walk" if can_walk(self._query.criteria[position]) else "gather", position)

    def _sorts_by_value(self) -> bool:
        return any(key.kind != "instant" for key in self._query.sort)


def _plans(arms: Sequence[containing.Arm]) -> tuple[Plan, ...]:
    return tuple([plan for _, plan in arms])
