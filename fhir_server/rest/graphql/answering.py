"""A query answered: its fields read, checked, gathered and put into shape, or its failures told.

https://hl7.org/fhir/R4/graphql.html#invoking
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir import literal
from fhir_server.rest.graphql import language
from fhir_server.rest.graphql.asking import tree
from fhir_server.rest.graphql.checking import Checker
from fhir_server.rest.graphql.gathering import Gathering
from fhir_server.rest.graphql.limits import Spent
from fhir_server.rest.graphql.schema import SYSTEM, Kind, Schema
from fhir_server.rest.graphql.shaping import shaped


@dataclass(frozen=True)
class Query:
    """What a request asks: the text of its query, which operation of it, and the values of variables."""

    text: str
    operation: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)


def answered(context: Context, query: Query, type_: str, fid: str) -> bytes:
    """The data of a query about a resource, or ("") at system level.

    GraphQLError or Refused for what is wrong in it; what reading the resource raises.
    """
    spent, schema = Spent(context), Schema(context.engine.definitions)
    fields = language.read(query.text, query.operation, dict(query.variables), spent)
    kind = Kind(type_ or SYSTEM)
    Checker(context, schema, spent).check(kind, fields)
    node = tree(repository.read(context, type_, fid).body, spent) if type_ else {}
    parts = Gathering(context, schema, spent).whole(kind, node, fields)
    return literal.dumps({"data": shaped(parts)})
