"""What the operations on meta have in common: the answer, and lists of values each of which stands in them once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.rest.arguments import parameters, value
from fhir_server.rest.message import Response

Meta = Mapping[str, Any]


def answered(meta: Meta) -> Response:
    """The meta of a resource as the parameter `return`."""
    return Response(200, orjson.dumps(parameters([value("return", "Meta", meta)])))


def united(first: Sequence[Any], more: Iterable[Any]) -> list[Any]:
    """The values of both, each identity once, in their order."""
    return [*first, *without(more, first)]


def without(values: Iterable[Any], gone: Iterable[Any]) -> list[Any]:
    """The values whose identity is not among those gone."""
    left = {_identity(one) for one in gone}
    found = []
    for one in values:
        if (key := _identity(one)) not in left:
            left.add(key)
            found.append(one)
    return found


def _identity(one: Any) -> tuple[str, str]:
    """A profile is its URL; a tag or label is its system and code, whatever its display."""
    return ("", one) if isinstance(one, str) else (one.get("system", ""), one.get("code", ""))
