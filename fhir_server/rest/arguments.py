"""The arguments of an operation, checked from its OperationDefinition: names, cardinalities, types.

They come from the URL (primitive ones), from a Parameters body, or are the body itself where an operation takes one
resource.  https://hl7.org/fhir/R4/operations.html#executing
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.fhir import wire
from fhir_server.fhir.definitions import Definitions, type_numbers
from fhir_server.fhir.errors import BadValue, NotSupported, RequiredMissing
from fhir_server.rest.message import Request
from fhir_server.validation import structure
from fhir_server.validation.primitives import PRIMITIVES, RANGES, problem

Json = Mapping[str, Any]

_OF_EVERY_REQUEST = frozenset({"_format", "_pretty"})
_STAND_IN = {"resourceType": "Basic", "code": {"text": "checked on its own"}}
_ANY_RESOURCE = "Resource"
# Clients write one for the other; what counts is the form of the value.
_FAMILIES = (
    frozenset({"uri", "url", "canonical", "uuid", "oid"}),
    frozenset({"string", "code", "id", "markdown"}),
    frozenset({"integer", "unsignedInt", "positiveInt"}),
    frozenset({"date", "dateTime", "instant"}),
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The checked arguments of one call: primitives as JSON values, data types and resources as dictionaries."""

    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def one(self, name: str, default: Any = None) -> Any:
        """The only value of an argument, or the default."""
        return self.values[name][0] if name in self.values else default

    def flag(self, name: str) -> bool:
        """The value of a boolean argument, False if it is not given."""
        return bool(self.one(name))

    def all(self, name: str) -> Sequence[Any]:
        """Every value of an argument; those with parts are Arguments themselves."""
        return self.values.get(name, ())

    def __contains__(self, name: object) -> bool:
        return name in self.values


def arguments(definitions: Definitions, operation: str, request: Request) -> Arguments:
    """What a request hands to the operation with this canonical URL.

    NotSupported names an argument that it does not have, RequiredMissing one that is absent, BadValue one of another
    type or given too often (all 400).
    """
    definition = definitions.resource(operation) or {}
    known = _inputs(definition.get("parameter", ()))
    found = _Found(known, definition.get("code", ""))
    for name, text in request.parameters:
        if name not in _OF_EVERY_REQUEST:
            found.from_url(name, text)
    if request.body:
        found.from_body(wire.parse(request.body))
    return found.complete()


def _inputs(parameters: Iterable[Json]) -> dict[str, Json]:
    return {one["name"]: one for one in parameters if one["use"] == "in"}


class _Found:
    """Gathers the values of one level: of an operation, or of a parameter with parts."""

    def __init__(self, known: Mapping[str, Json], operation: str, path: str = "") -> None:
        self._known, self._operation, self._path = known, operation, path
        self._values: dict[str, list[Any]] = {}

    def from_url(self, name: str, text: str) -> None:
        """Take a primitive argument from the URL."""
        kind = self._definition(name).get("type", "")
        if kind not in PRIMITIVES:
            raise BadValue(f"{name} does not fit into a URL. Send it in a Parameters resource by POST.", name)
        self._add(name, _checked(name, kind, _read(name, kind, text)))

    def from_body(self, body: dict[str, Any]) -> None:
        """Take a Parameters resource, or the one resource that the operation is about."""
        if body.get("resourceType") == "Parameters":
            structure.check("Parameters", _envelope(body))
            self.from_list(body.get("parameter", ()))
            return
        takers = [name for name, one in self._known.items() if _takes(one.get("type", ""), body)]
        if len(takers) != 1:
            raise BadValue("Send the arguments in the URL, or in a Parameters resource as the body.", "resourceType")
        self._add(takers[0], body)

    def from_list(self, given: Sequence[Json]) -> None:
        """Take the parameters of a resource, or the parts of one."""
        for index, one in enumerate(given):
            path = f"{self._path}.part[{index}]" if self._path else f"Parameters.parameter[{index}]"
            self._add(one["name"], self._value(one, path))

    def _value(self, one: Json, path: str) -> Any:
        name = one["name"]
        definition = self._definition(name, path)
        if "part" in definition:
            inner = _Found(_inputs(definition["part"]), self._operation, path)
            inner.from_list(one.get("part", ()))
            return inner.complete()
        kind = definition.get("type", "")
        if "resource" in one:
            return _resource(name, kind, one["resource"], path)
        member = next((key for key in one if key.startswith("value")), None)
        if member is None or not _same_kind(kind, member.removeprefix("value")):
            raise BadValue(f"{name} must be a {kind}.", path)
        return _checked(name, kind, one[member], path)

    def _definition(self, name: str, path: str | None = None) -> Json:
        if name not in self._known:
            has = f"It has: {', '.join(sorted(self._known))}." if self._known else "It has none."
            raise NotSupported(f"${self._operation} has no parameter {name[:64]}. {has}", path or name[:64])
        return self._known[name]

    def _add(self, name: str, value: Any) -> None:
        self._values.setdefault(name, []).append(value)

    def complete(self) -> Arguments:
        """The values, once each is there as often as it may be."""
        for name, definition in self._known.items():
            number, most = len(self._values.get(name, ())), definition["max"]
            if number < definition["min"]:
                raise RequiredMissing(f"${self._operation} needs the parameter {name}.", self._path or name)
            if most != "*" and number > int(most):
                raise BadValue(f"{name} is given {number} times; at most {most} is possible.", self._path or name)
        return Arguments(self._values)


def _envelope(body: Json) -> dict[str, Any]:
    """The Parameters without the resources in it, which each operation checks for itself."""
    given = body.get("parameter")
    return {**body, "parameter": list(map(_bare, given))} if isinstance(given, list) else dict(body)


def _bare(one: Any) -> Any:
    if not isinstance(one, dict):
        return one
    bare = {**one, "resource": _STAND_IN} if isinstance(one.get("resource"), dict) else one
    parts = one.get("part")
    return {**bare, "part": list(map(_bare, parts))} if isinstance(parts, list) else bare


def _takes(kind: str, body: Json) -> bool:
    return kind == _ANY_RESOURCE or (kind in type_numbers() and kind == body.get("resourceType"))


def _resource(name: str, kind: str, resource: dict[str, Any], path: str) -> dict[str, Any]:
    if not _takes(kind, resource):
        raise BadValue(f"{name} must be a {kind}.", f"{path}.resource")
    if kind != _ANY_RESOURCE:
        structure.check(kind, resource)
    return resource


def _same_kind(kind: str, member: str) -> bool:
    given = member[:1].lower() + member[1:]
    return kind in {member, given} or any(kind in family and given in family for family in _FAMILIES)


def _read(name: str, kind: str, text: str) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in RANGES:
        return _whole(name, text)
    return text


def _whole(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 10:  # noqa: PLR2004 - 32 bits
        raise BadValue(f"{name} must be a whole number.", name)
    return int(text)


def _checked(name: str, kind: str, value: Any, path: str = "") -> Any:
    if kind in PRIMITIVES and (wrong := problem(kind, value)):
        raise BadValue(f"{name} {wrong[1]}.", path or name)
    return value


# ---- what goes back


def parameters(given: Iterable[Json]) -> dict[str, Any]:
    """A Parameters resource of these parameters; FHIR has no empty lists."""
    rows = list(given)
    return {"resourceType": "Parameters", **({"parameter": rows} if rows else {})}


def value(name: str, kind: str, content: Any) -> dict[str, Any]:
    """One parameter with a value of this type."""
    return {"name": name, f"value{kind[0].upper()}{kind[1:]}": content}


def parts(name: str, content: Iterable[Json]) -> dict[str, Any]:
    """One parameter made of parts."""
    return {"name": name, "part": list(content)}


def present(rows: Iterable[tuple[str, str, Any]]) -> Iterator[dict[str, Any]]:
    """A parameter for every (name, type, content) whose content is not None."""
    return (value(name, kind, content) for name, kind, content in rows if content is not None)
