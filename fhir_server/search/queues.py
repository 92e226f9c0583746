"""Worklists: whose queue, in which status, since when, in one row of the list of pairs.

The status stands in val and sys, whose queue it is in text1, the date that orders it in number1, with the row number
behind it. So the list is in the order of the answer to `owner=...&status=...&_sort=-authored-on`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
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
    known = site.definitions.search_params(kind)
    codes = queue.reference, queue.token, queue.date
    reference, token, date = (_part(site, kind, known[code], converters) for code in codes)

    def convert(rows: Adders, param: int, resource: Mapping[str, Any]) -> None:
        owners = _values(reference, resource, "ref")
        for (_, code, system), (_, owner) in product(_values(token, resource, "tok"), owners):
            dates = _values(date, resource, "dat")
            rows.comp((param, code, system, str(owner), "", "", "", dates[0][1] if dates else OPEN_START, 0))

    converters["queue"] = convert
    place(root, ()).calls.append(("queue", params[kind, queue.code]))


def _part(site: Site, kind: str, param: Any, converters: Mapping[str, Converter]) -> Extract:
    root = Node()
    plant(root, site, kind, param, (0, 0, "") if param.type == "reference" else 0, converters)
    return generate(f"{kind}.{param.code}", root, [], site, converters)


def _values(extract: Extract, resource: Mapping[str, Any], column: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    extract(resource, _NOWHERE._replace(**{column: found.append}))
    return found


def _nowhere(_row: tuple[Any, ...]) -> None:
    return


_NOWHERE = Adders(*[_nowhere] * len(Adders._fields))


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a row stands in one of these queues: the values of the status, then whose it is, as text."""
    token = search_types()["token"]
    return or_(*[and_(token.clause(row, op, [binds[:-1]]), row.c.text1 == binds[-1]) for binds in terms])


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {}  # rows are made of a whole resource, see plant_queue


TYPE = SearchType(NAME, comp, frozenset(), lambda _text, _asked: (), clause, _converters)
