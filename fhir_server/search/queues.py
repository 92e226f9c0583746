"""Worklists: whose queue, in which status, since when, in one row of the list of pairs.

The status stands in val and sys, whose queue it is in text1, the date that orders it in number1, with the row number
behind it. So the list is in the order of the answer to `owner=...&status=...&_sort=-authored-on`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.search.generator import Extract, Node, generate, place, plant
from fhir_server.search.model import Adders, Binds, Converter, Param, SearchType, Site
from fhir_server.search.types import search_types
from fhir_server.search.types.date import OPEN_START
from fhir_server.store.tables import comp

NAME = "queue"


@dataclass(frozen=True, slots=True)
class Queue:
    """Parameters of a type of which a resource has one value each: a reference, a code, and a point in time."""

    reference: str
    token: str
    date: str

    @property
    def code(self) -> str:
        """The name by which its list is numbered; nobody can ask for it."""
        return f"{self.reference}:{self.token}:{self.date}"


QUEUES: Mapping[str, Queue] = {"Task": Queue("owner", "status", "authored-on")}


def names(kind: str) -> list[Param]:
    """What needs a number in the posting lists."""
    return [(kind, QUEUES[kind].code)] if kind in QUEUES else []


def plant_queue(
    root: Node, site: Site, kind: str, params: Mapping[Param, int], converters: dict[str, Converter]
) -> None:
    """Have a resource's place in its queue converted, if its type has one."""
    queue = QUEUES.get(kind)
    if queue is None or (kind, queue.code) not in params:
        return
    extract = _extract(site, kind, queue, converters)

    def convert(rows: Adders, param: int, resource: Mapping[str, Any]) -> None:
        tokens: list[tuple[Any, ...]] = []
        owners: list[tuple[Any, ...]] = []
        dates: list[tuple[Any, ...]] = []
        extract(resource, _NOWHERE._replace(tok=tokens.append, ref=owners.append, dat=dates.append))
        since = dates[0][1] if dates else OPEN_START
        for which, code, system in tokens:
            for _, owner in owners if which == _TOKEN else ():
                rows.comp((param, code, system, str(owner), "", "", "", since, 0))

    converters["queue"] = convert
    place(root, ()).calls.append(("queue", params[kind, queue.code]))


def _extract(site: Site, kind: str, queue: Queue, converters: Mapping[str, Converter]) -> Extract:
    known, root = site.definitions.search_params(kind), Node()
    plant(root, site, kind, known[queue.reference], (_REFERENCE, _LOGICAL, ""), converters)
    plant(root, site, kind, known[queue.token], _TOKEN, converters)
    plant(root, site, kind, known[queue.date], _DATE, converters)
    return generate(f"{kind}.{queue.code}", root, [], site, converters)


def _nowhere(_row: tuple[Any, ...]) -> None:
    return


_NOWHERE = Adders(*[_nowhere] * len(Adders._fields))
_REFERENCE, _LOGICAL, _TOKEN, _DATE = range(4)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a row stands in one of these queues: the values of the status, then whose it is, as text."""
    token = search_types()["token"]
    return or_(*[and_(token.clause(row, op, [binds[:-1]]), row.c.text1 == binds[-1]) for binds in terms])


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {}  # rows are made of a whole resource, see plant_queue


TYPE = SearchType(NAME, comp, frozenset(), lambda _text, _asked: (), clause, _converters)
