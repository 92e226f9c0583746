"""Whether all that a query selects is there to be selected, before anything is read: fields, arguments, scopes.

https://hl7.org/fhir/R4/graphql.html#errors
"""

import re
from collections.abc import Iterator, Sequence

from graphql import GraphQLError

from fhir_server.engine.context import Context
from fhir_server.fhir import path
from fhir_server.fhir.errors import BadValue, FHIRError, NotSupported
from fhir_server.rest.graphql.asking import search_of, searched
from fhir_server.rest.graphql.failures import Refused, told_at
from fhir_server.rest.graphql.gathering import INDEX
from fhir_server.rest.graphql.language import Field
from fhir_server.rest.graphql.limits import Spent
from fhir_server.rest.graphql.schema import SYSTEM, Kind, Member, Schema, shown

Found = Sequence[tuple[Kind, Member]]

_NUMBERS = ("_offset", "_count")
_LISTS = {"fhirpath", *_NUMBERS}
_NUMBER = re.compile("[0-9]{1,9}")
_FEW = 4  # types that a message names


class Checker:
    """Looks through the fields of one query."""

    def __init__(self, context: Context, schema: Schema, spent: Spent) -> None:
        self._context, self._schema, self._spent = context, schema, spent
        self._asked = 0

    def check(self, kind: Kind, fields: Sequence[Field]) -> None:
        """Nothing; Refused with every mistake, each with its place."""
        errors = [error for field in fields for error in self._field([kind], field)]
        if errors:
            raise Refused(errors)

    def _field(self, kinds: Sequence[Kind], field: Field) -> Iterator[GraphQLError]:
        """The mistakes of a field that is selected where one of these kinds stands."""
        here = [kind for kind in kinds if self._schema.fits(kind.structure, field.on)]
        found = [(kind, member) for kind in here if (member := self._schema.member(kind, field.name))]
        try:
            with told_at(field.node):
                if not found:
                    raise NotSupported(_unknown(kinds, here, field))
                self._asked += found[0][1].how not in {"", "reference"}
                self._spent.reach("searches and reads", self._asked)
                self._require_shape(found, field)
                self._require_arguments(found, field)
                self._require_expressions(field)
        except GraphQLError as error:
            yield error
        else:
            inner = self._inside([member for _, member in found], field)
            yield from (error for child in field.fields for error in self._field(inner, child))

    def _inside(self, members: Sequence[Member], field: Field) -> list[Kind]:
        """What may stand where the fields of this one are selected."""
        inner = dict.fromkeys(kind for member in members for kind in self._schema.types_of(member.kind))
        narrowed = field.arguments.get("type") if members[0].how == "reference" else None
        return [kind for kind in inner if narrowed in (None, kind.structure)]

    def _require_shape(self, found: Found, field: Field) -> None:
        having = {self._schema.has_fields(member.kind) for _, member in found}
        if len(having) > 1:
            raise BadValue(f"{field.name} is different things here: name the type in a fragment.")
        if having == {True} and not field.fields:
            raise BadValue(f"{field.name} has fields: choose some of them.")
        if having == {False} and (field.fields or "flatten" in field.marks):
            raise BadValue(f"{field.name} is a plain value and has no fields.")
        if {"first", "slice"} <= set(field.marks):
            raise BadValue("@first and @slice do not go together.")

    def _require_arguments(self, found: Found, field: Field) -> None:
        """Arguments are right if they are for one of the types that may stand there."""
        failures = []
        for kind, member in found:
            try:
                return self._require_known(kind, member, field)
            except FHIRError as error:
                failures.append(error)
        raise failures[0]

    def _require_known(self, kind: Kind, member: Member, field: Field) -> None:
        given = field.arguments
        if member.how == "read":
            self._context.require("r", member.kind.structure)
            if [*given] != ["id"] or not isinstance(given["id"], str):
                raise BadValue(f"{field.name} takes one argument: id.")
        elif member.how == "reference":
            if set(given) - {"optional", "type"} or not isinstance(given.get("optional", False), bool):
                raise BadValue("resource takes two arguments: optional (true or false) and type.")
            if given.get("type", "Patient") not in self._schema.types:
                raise BadValue("type names a resource type of R4.")
        elif member.how:
            self._context.require("s", searched(member))
            search_of(self._context, field, member, "" if kind.structure == SYSTEM else f"{kind.structure}/a")
        else:
            self._require_filters(member, field)

    def _require_filters(self, member: Member, field: Field) -> None:
        known = self._schema.values(member.kind) | (_LISTS if self._schema.has_fields(member.kind) else set())
        for name, value in field.arguments.items():
            if name not in known:
                raise NotSupported(f"{field.name} takes no argument {name[:64]}.")
            if name in _NUMBERS and not _NUMBER.fullmatch(str(value)):
                raise BadValue(f"{name} is a whole number.")

    def _require_expressions(self, field: Field) -> None:
        for one in (field.arguments.get("fhirpath"), field.marks.get("slice")):
            if one is not None and one != INDEX:
                self._spent.take("FHIRPath expressions")
                path.evaluate(str(one), {}, foreign=True)


def _unknown(kinds: Sequence[Kind], here: Sequence[Kind], field: Field) -> str:
    if field.name.startswith("__"):
        return f"{field.name[:64]} is not offered: what can be asked is what R4 defines."
    named = " or ".join(shown(kind.structure) for kind in (here or kinds)[:_FEW])
    if not here:
        return f"What stands here is {named}, never {' and '.join(field.on)[:64]}."
    if len(here) > _FEW:
        return f"No type that may stand here has a field {field.name[:64]}."
    return f"{named} has no field {field.name[:64]}."
