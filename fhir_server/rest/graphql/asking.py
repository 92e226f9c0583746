"""The search that a list or a connection of a query asks, as a search over REST would ask it.

https://hl7.org/fhir/R4/graphql.html#searching
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.engine import hits, repository
from fhir_server.engine.context import Context
from fhir_server.fhir import literal
from fhir_server.fhir.definitions import SearchParam
from fhir_server.fhir.errors import BadValue, NotSupported, RequiredMissing
from fhir_server.rest.graphql.language import Field, written
from fhir_server.rest.graphql.limits import Spent
from fhir_server.rest.graphql.schema import Member
from fhir_server.search.expression import reference_targets
from fhir_server.search.model import SearchQuery
from fhir_server.search.query import LARGEST_PAGE
from fhir_server.search.run import Page

Json = dict[str, Any]
Pairs = Iterator[tuple[str, str]]

_CURSORS = frozenset({"_cursor", "cursor"})
_OURS = _CURSORS | {"fhirpath", "_reference"}
_NOT_HERE = frozenset({
    "_include", "_revinclude", "_contained", "_containedType", "_summary", "_elements", "_type", "_format", "_pretty",
})  # fmt: skip
_BARE_COMMA = re.compile(r"(?<!\\),")


class Wish(NamedTuple):
    """A field whose value must be found: in which object, and in which resource that is."""

    field: Field
    member: Member
    node: Json
    holder: Json

    @property
    def is_own(self) -> bool:
        """Whether it stands in a resource that has a place of its own, or at the root of a query."""
        return self.node is self.holder

    @property
    def holder_name(self) -> str:
        """Type/id of the resource; "" at the root of a query."""
        return f"{self.holder['resourceType']}/{self.holder['id']}" if self.holder else ""

    @property
    def reference(self) -> str:
        """What the object refers to, if it is a Reference."""
        return str(self.node.get("reference", "")) if self.member.how == "reference" else ""


def matches(context: Context, query: SearchQuery, spent: Spent) -> tuple[Page, list[Json]]:
    """One page of a search, and its matches as this caller is shown them."""
    spent.take("searches and reads")
    page = repository.search(context, query)
    spent.take("resources", len(page.hits))
    return page, [tree(repository.render(context, *hits.holder(hit)), spent) for hit in page.hits]


def tree(body: bytes, spent: Spent) -> Json:
    """The tree of a resource, its numbers as they are written."""
    spent.take("bytes of resources", len(body))
    found: Json = literal.loads(body)
    return found


def search_of(context: Context, field: Field, member: Member, referrer: str = "") -> SearchQuery:
    """The search of what matches the arguments, and refers to `referrer` ("" at the root of a query).

    NotSupported, BadValue, RequiredMissing for arguments that cannot be; what `Searcher.parse` and `resume` raise.
    """
    paged, type_ = member.how == "connection", searched(member)
    for name in _CURSORS & set(field.arguments):
        return _resumed(context, field, type_, name, root=not referrer and paged)
    pairs = [*_criteria(context, field, type_), *_reverse(context, field, type_, referrer)]
    if not paged and "_count" not in field.arguments:
        pairs.append(("_count", str(LARGEST_PAGE)))
    if paged and "_total" not in field.arguments and any(one.name == "count" for one in field.fields):
        pairs.append(("_total", "accurate"))
    return context.engine.searcher.parse(type_, pairs)


def searched(member: Member) -> str:
    """The type that a list or connection is of."""
    return member.kind.structure.removesuffix("Connection")


def _resumed(context: Context, field: Field, type_: str, name: str, *, root: bool) -> SearchQuery:
    if not root or set(field.arguments) - {name, "fhirpath"}:
        raise NotSupported(f"{name} stands alone, in a connection at the root: it carries the whole search.")
    query = repository.resume(context, str(field.arguments[name]))
    if (query.type, query.within, query.contained) != (type_, "", "false"):
        raise BadValue("This cursor belongs to another search.")
    return query


def _criteria(context: Context, field: Field, type_: str) -> Pairs:
    params = _params(context, type_)
    for name, value in field.arguments.items():
        if name in _NOT_HERE:
            raise NotSupported(f"{name} has no place here: choose fields instead.")
        if name not in _OURS:
            texts = [written(one) for one in (value if isinstance(value, tuple) else (value,))]
            if name in params:
                texts = [_BARE_COMMA.sub(r"\\,", one) for one in texts]
            yield params[name].code if name in params else name, ",".join(texts)


def _params(context: Context, type_: str) -> Mapping[str, SearchParam]:
    """The search parameters of a type by their names in a query."""
    return {code.replace("-", "_"): one for code, one in context.engine.definitions.search_params(type_).items()}


def _reverse(context: Context, field: Field, type_: str, referrer: str) -> Pairs:
    if referrer:
        code = code_of(context, field, type_)
        if not refers(context, field, type_, referrer):
            raise BadValue(f"{code} of {type_} does not refer to a {referrer.partition('/')[0]}.")
        yield code, referrer
    elif "_reference" in field.arguments:
        raise NotSupported("_reference is for what stands inside a resource.")


def refers(context: Context, field: Field, type_: str, referrer: str) -> bool:
    """Whether resources of a type can refer to such a resource (Type/id) by the parameter that the field names."""
    targets = reference_targets(context.engine.definitions, _reference(context, field, type_))
    return referrer.partition("/")[0] in targets


def code_of(context: Context, field: Field, type_: str) -> str:
    """The search parameter that `_reference` names; RequiredMissing if it names none."""
    return _reference(context, field, type_).code


def _reference(context: Context, field: Field, type_: str) -> SearchParam:
    param = _params(context, type_).get(str(field.arguments.get("_reference")))
    if param is None or param.type != "reference":
        raise RequiredMissing(f"_reference names the search parameter by which a {type_} refers to what is around it.")
    return param
