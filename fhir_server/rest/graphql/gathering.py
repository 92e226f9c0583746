"""A query walked over resources, level by level: what each level refers to or searches for is found at once.

https://hl7.org/fhir/R4/graphql.html#list
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from fhir_server.engine.context import Context
from fhir_server.fhir import literal, path
from fhir_server.rest.graphql.asking import Json, Wish
from fhir_server.rest.graphql.failures import told_at
from fhir_server.rest.graphql.finding import Finder
from fhir_server.rest.graphql.language import Field, Value, written
from fhir_server.rest.graphql.limits import Spent
from fhir_server.rest.graphql.schema import Kind, Member, Schema, shown

INDEX = "$index"

_ABOUT_LISTS = frozenset({"fhirpath", "_offset", "_count"})
_EVALUATION = 200  # bytes: what it costs to evaluate a FHIRPath at all


class Part(NamedTuple):
    """A field with what it yields: (what @slice adds to its name, a plain value or the parts of an object)."""

    field: Field
    member: Member
    items: list[tuple[str, Any]]


class Gathering:
    """One query on its way through resources."""

    def __init__(self, context: Context, schema: Schema, spent: Spent) -> None:
        self._schema, self._spent = schema, spent
        self._finder = Finder(context, spent)
        self._waiting: list[tuple[Wish, Part]] = []

    def whole(self, kind: Kind, node: Json, fields: Sequence[Field]) -> list[Part]:
        """The parts of a resource, or ({}) of a query at system level, with all that they lead to."""
        parts = self._parts(kind, node, node, fields)
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            self._finder.learn([wish for wish, _ in waiting])
            for wish, part in waiting:
                with told_at(wish.field.node):
                    self._add(part, self._kept(wish, self._finder.found(wish)))
        return parts

    def _kept(self, wish: Wish, found: list[tuple[Json, Json]]) -> list[tuple[Json, Json]]:
        """What of that passes; of a page the matches that pass."""
        if wish.member.how != "connection":
            return [one for one in found if self._passes(wish.field, one[0])]
        for page, _ in found:
            page["edges"] = [edge for edge in page["edges"] if self._passes(wish.field, edge["resource"])]
        return found

    def _parts(self, kind: Kind, node: Json, holder: Json, fields: Sequence[Field]) -> list[Part]:
        parts = []
        self._spent.take("values", len(fields))
        for field in _merged(one for one in fields if self._schema.fits(kind.structure, one.on)):
            member = self._schema.member(kind, field.name)
            if member is None:
                continue  # another of the types that may stand here has it
            part = Part(field, member, [])
            parts.append(part)
            if member.how:
                self._waiting.append((Wish(field, member, node, holder), part))
            else:
                with told_at(field.node):
                    self._add(part, [(one, holder) for one in self._values(kind, node, field)])
        return parts

    def _add(self, part: Part, found: Sequence[tuple[Any, Json]]) -> None:
        field = part.field
        self._spent.take("characters told", sum(len(value) for value, _ in found if isinstance(value, str)))
        for number, (value, holder) in enumerate(found[:1] if "first" in field.marks else found):
            part.items.append((self._suffix(field, value, number), self._content(part, value, holder)))

    def _content(self, part: Part, value: Any, holder: Json) -> Any:
        field, kind = part.field, part.member.kind
        if not field.fields or value is None:
            return value
        if kind.structure in self._schema.types:
            holder = value
        elif kind.structure == "Resource":
            kind = Kind(value["resourceType"])
            if not part.member.how and field.name == "resource":
                holder = dict(value)  # as an entry of a Bundle: it has parts, and no place of its own
        return self._parts(kind, value, holder, field.fields)

    def _values(self, kind: Kind, node: Json, field: Field) -> list[Any]:
        """The values of an element that the arguments of its field leave."""
        if field.name == "__typename":
            return [shown(kind.structure)]
        value = node.get(field.name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        self._spent.take("values", len(values))
        given = field.arguments
        kept = [one for one in values if _fits(one, given) and self._passes(field, one)]
        start = int(str(given.get("_offset", 0)))
        return kept[start:][: int(str(given.get("_count", len(kept))))]

    def _passes(self, field: Field, value: Any) -> bool:
        """Whether a value meets the FHIRPath of its field."""
        given = field.arguments
        found = self._evaluated(str(given["fhirpath"]), value) if "fhirpath" in given else [True]
        return bool(found) and found[0] is not False

    def _suffix(self, field: Field, value: Any, number: int) -> str:
        if "slice" not in field.marks:
            return ""
        if field.marks["slice"] == INDEX:
            return f".{number}"
        return "".join(f".{written(one)[:64]}" for one in self._evaluated(field.marks["slice"], value)[:1])

    def _evaluated(self, expression: str, value: Any) -> list[Any]:
        text = literal.dumps(value)
        self._spent.take("bytes under FHIRPath", len(text) + _EVALUATION)
        return path.evaluate(expression, orjson.loads(text), foreign=True)


def _fits(value: Any, arguments: Mapping[str, Value]) -> bool:
    """Whether the elements of a value have the values that they must have."""
    return all(_has(value, name, wanted) for name, wanted in arguments.items() if name not in _ABOUT_LISTS)


def _has(value: Json, name: str, wanted: Value) -> bool:
    there = value.get(name)
    texts = {written(one) for one in (there if isinstance(there, list) else [there]) if one is not None}
    return not texts.isdisjoint(map(written, wanted if isinstance(wanted, tuple) else [wanted]))


def _merged(fields: Iterable[Field]) -> Iterator[Field]:
    """The fields, those that ask the same made into one with the fields of all."""
    found: dict[Any, Field] = {}
    for one in fields:
        asked = (one.key, one.name, *one.arguments.items(), *one.marks.items())
        before = found.get(asked)
        found[asked] = replace(before, fields=before.fields + one.fields) if before else one
    return iter(found.values())
