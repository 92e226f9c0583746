"""What a query reads: resources by id, searches, and what references lead to, a whole wave of them at once.

Every resource comes through the doors of `engine.repository`, with the scopes, the view and the audit of a read, search
or include.  https://hl7.org/fhir/R4/graphql.html#searching
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from fhir_server.engine import hits, repository
from fhir_server.engine.context import Context
from fhir_server.fhir import literal
from fhir_server.fhir.errors import NotFound, TooCostly
from fhir_server.fhir.values import parse_reference
from fhir_server.rest.graphql.asking import refers, search_of, searched
from fhir_server.rest.graphql.language import Field
from fhir_server.rest.graphql.limits import Spent
from fhir_server.rest.graphql.schema import Member

Json = dict[str, Any]

_ABSENT = "A reference leads to nothing that is here. With `optional: true` such ones are left out."


class Wish(NamedTuple):
    """A field whose value must be found: in which object, and in which resource that is."""

    field: Field
    member: Member
    node: Json
    holder: Json

    @property
    def reference(self) -> str:
        """What the object refers to, if it is a Reference."""
        return str(self.node.get("reference", "")) if self.member.how == "reference" else ""


class Finder:
    """Finds what one query asks for, on behalf of its caller."""

    def __init__(self, context: Context, spent: Spent) -> None:
        self._context, self._spent = context, spent
        self._base = context.engine.settings.base_url.rstrip("/")
        self._known: dict[str, Json | None] = {}

    def learn(self, wishes: Iterable[Wish]) -> None:
        """Read all that these references lead to, in one statement."""
        wanted = {self._target(one) for one in wishes} - {"", *self._known}
        if wanted:
            self._spent.take("resources", len(wanted))
            found = repository.read_all(self._context, sorted(wanted))
            self._known |= {one: self._tree(found[one].body) if one in found else None for one in wanted}

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
        if wish.node is not wish.holder:
            return []  # nothing refers to what another resource contains
        self._spent.take("searches and reads")
        if wish.member.how == "read":
            row = repository.read(self._context, wish.member.kind.structure, str(wish.field.arguments["id"]))
            return _whole([self._tree(row.body)])
        return _whole(self._searched(wish))

    def _searched(self, wish: Wish) -> list[Json]:
        referrer = f"{wish.holder['resourceType']}/{wish.holder['id']}" if wish.holder else ""
        if referrer and not refers(self._context, wish.field, searched(wish.member), referrer):
            return []
        query = search_of(self._context, wish.field, wish.member, referrer)
        page = repository.search(self._context, query)
        self._spent.take("resources", len(page.hits))
        shown = [self._tree(repository.render(self._context, *hits.holder(hit))) for hit in page.hits]
        if wish.member.how == "list":
            wanted = wish.field.arguments.get("_count", "")
            if page.next_token and str(wanted) != str(query.count):
                message = f"More than {query.count} match: ask for {query.type}Connection, or narrow the search."
                raise TooCostly(message)
            return shown
        told = {
            "count": page.total, "offset": 0 if query.after is None else None, "pagesize": query.count,
            "previous": page.prev_token, "next": page.next_token,
            "edges": [{"mode": "match", "resource": one} for one in shown],
        }  # fmt: skip
        return [{name: value for name, value in told.items() if value is not None}]

    def _tree(self, body: bytes) -> Json:
        self._spent.take("bytes of resources", len(body))
        found: Json = literal.loads(body)
        return found

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
