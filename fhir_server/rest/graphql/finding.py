"""What a query reads: resources by id, searches, and what references lead to, a whole wave of them at once.

Every resource comes through the doors of `engine.repository`, with the scopes, the view and the audit of a read, search
or include.  https://hl7.org/fhir/R4/graphql.html#searching
"""

from collections.abc import Sequence

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import NotFound, TooCostly
from fhir_server.fhir.values import parse_reference
from fhir_server.rest.graphql.asking import Json, Wish, matches, refers, search_of, searched, tree
from fhir_server.rest.graphql.limits import Spent
from fhir_server.rest.graphql.reversing import Lists, lists_of
from fhir_server.search.query import LARGEST_PAGE

_ABSENT = "A reference leads to nothing that is here. With `optional: true` such ones are left out."


class Finder:
    """Finds what one query asks for, on behalf of its caller."""

    def __init__(self, context: Context, spent: Spent) -> None:
        self._context, self._spent = context, spent
        self._base = context.engine.settings.base_url.rstrip("/")
        self._known: dict[str, Json | None] = {}
        self._lists: Lists = {}

    def learn(self, wishes: Sequence[Wish]) -> None:
        """Read all that these references lead to, in one statement, and what is listed in several resources."""
        self._lists |= lists_of(self._context, self._spent, wishes)
        wanted = {self._target(one) for one in wishes} - {"", *self._known}
        if wanted:
            self._spent.take("resources", len(wanted))
            found = repository.read_all(self._context, sorted(wanted))
            self._known |= {one: tree(found[one].body, self._spent) if one in found else None for one in wanted}

    def _target(self, wish: Wish) -> str:
        """Type/id of a resource of ours that is meant; "" for anything else."""
        parsed = parse_reference(wish.reference)
        if parsed is None or (parsed.base and parsed.base.rstrip("/") != self._base):
            return ""
        return f"{parsed.type}/{parsed.id}" if _is_meant(wish, parsed.type) else ""

    def found(self, wish: Wish) -> list[tuple[Json, Json]]:
        """What a field stands for, each with the resource it is in.

        NotFound where one resource is absent or hidden (Gone: deleted) and not optional; TooCostly for a list without
        an end; what the doors raise.
        """
        if wish.member.how == "reference":
            return self._referred(wish)
        if wish.member.how == "read":
            self._spent.take("searches and reads")
            row = repository.read(self._context, wish.member.kind.structure, str(wish.field.arguments["id"]))
            return _whole([tree(row.body, self._spent)])
        type_, name = searched(wish.member), wish.holder_name
        if not wish.is_own or (name and not refers(self._context, wish.field, type_, name)):
            return []  # nothing refers to what another resource contains
        return _whole(self._connection(wish) if wish.member.how == "connection" else self._list(wish))

    def _list(self, wish: Wish) -> list[Json]:
        """All that matches, or as many as `_count` says: a list is never cut in silence."""
        known = self._lists.get((id(wish.field.node), wish.holder_name))
        if known is not None and len(known) <= LARGEST_PAGE:
            return known
        query = search_of(self._context, wish.field, wish.member, wish.holder_name)
        page, found = matches(self._context, query, self._spent)
        if page.next_token and str(wish.field.arguments.get("_count")) != str(query.count):
            message = f"More than {query.count} match: ask for {query.type}Connection, or narrow the search."
            raise TooCostly(message)
        return found

    def _connection(self, wish: Wish) -> list[Json]:
        query = search_of(self._context, wish.field, wish.member, wish.holder_name)
        page, found = matches(self._context, query, self._spent)
        told = {
            "count": page.total, "offset": 0 if query.after is None else None, "pagesize": query.count,
            "previous": page.prev_token, "next": page.next_token,
            "edges": [{"mode": "match", "resource": one} for one in found],
        }  # fmt: skip
        return [{name: value for name, value in told.items() if value is not None}]

    def _referred(self, wish: Wish) -> list[tuple[Json, Json]]:
        inside = wish.reference.startswith("#")
        found = _contained(wish) if inside else self._known.get(self._target(wish))
        parsed = parse_reference(wish.reference)
        type_ = found["resourceType"] if found else parsed.type if parsed else ""
        if type_ and not _is_meant(wish, type_):
            return []
        if found is not None:
            return [(found, wish.holder if inside else found)]
        if wish.field.arguments.get("optional") is True:
            return []
        raise NotFound(_ABSENT)


def _contained(wish: Wish) -> Json | None:
    """What stands in the same resource; "#" alone is that resource itself."""
    fid = wish.reference[1:]
    inner: list[Json] = [one for one in wish.holder.get("contained", []) if one.get("id") == fid]
    return wish.holder if not fid else next(iter(inner), None)


def _is_meant(wish: Wish, type_: str) -> bool:
    return wish.field.arguments.get("type", type_) == type_


def _whole(found: list[Json]) -> list[tuple[Json, Json]]:
    return [(one, one) for one in found]
