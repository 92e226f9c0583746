"""The routing table, derived from the files of `interactions/` and `operations/`: a folder is a registry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fhir_server.fhir.errors import FHIRError, MethodNotAllowed, UnknownType
from fhir_server.fhir.registry import entries
from fhir_server.rest import interactions, operations
from fhir_server.rest.message import Interaction, Operation, Request

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_VARIABLES = {"{type}", "{id}", "{vid}"}


@dataclass(frozen=True)
class Routes:
    """Interactions and operations, those of guests included; `find` says which one a request asks for."""

    types: frozenset[str]
    interactions: Sequence[Interaction]
    operations: Sequence[Operation]

    def find(self, request: Request) -> Interaction | Operation:
        """The row for a request; UnknownType (404) or MethodNotAllowed (405, with Allow)."""
        if request.path and request.path[-1].startswith("$"):
            return self._operation(request)
        if request.type and request.type not in self.types:
            raise UnknownType(f"{request.type[:64]} is not a resource type of FHIR R4.")
        method = "GET" if request.method == "HEAD" else request.method
        fitting = self._fitting(request.path)
        for row in fitting:
            if row.method == method:
                return row
        if not fitting:
            raise UnknownType("There is nothing at this URL.")
        raise _not_allowed(request, [row.method for row in fitting])

    def _fitting(self, path: tuple[str, ...]) -> Sequence[Interaction]:
        """The rows whose template fits, remembered by the shape of the path: the words of templates, else the kinds."""
        shape = tuple([part if part in self._words else _kind(part) for part in path[: self._longest + 1]])
        if shape not in self._memo:
            self._memo[shape] = [row for row in self.interactions if _fits(row.path, path)]
        return self._memo[shape]

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(step for row in self.interactions for step in row.path.split("/")) - _VARIABLES

    @cached_property
    def _longest(self) -> int:
        return max(len(row.path.split("/")) for row in self.interactions)

    @cached_property
    def _memo(self) -> dict[tuple[str, ...], Sequence[Interaction]]:
        return {}

    def methods(self, request: Request) -> list[str]:
        """The methods that the URL of a request takes, as Allow lists them; UnknownType if there is no such URL."""
        found = {method for method in METHODS if method != "OPTIONS" and self._takes(replace(request, method=method))}
        if not found:
            self.find(replace(request, method="GET"))
        return sorted({*found, "OPTIONS"})

    def _takes(self, request: Request) -> bool:
        try:
            self.find(request)
        except FHIRError:
            return False
        return True

    def _operation(self, request: Request) -> Operation:
        name, level = request.path[-1][1:], _level(request)
        method = "GET" if request.method == "HEAD" else request.method
        for row in self.operations:
            if row.name == name and level in row.levels and (level == "system" or self._covers(row, request.type)):
                if method not in row.methods:
                    raise _not_allowed(request, row.methods)
                return row
        raise UnknownType(f"The operation ${name[:64]} is not offered here.")

    def _covers(self, row: Operation, type_: str) -> bool:
        return type_ in (row.types or self.types)


def all_routes(types: Sequence[str], guests: Sequence[Operation] = ()) -> Routes:
    """The table of this server: its own interactions and operations, and those that guests add."""
    single = entries(interactions, "INTERACTION")
    own = entries(operations, "OPERATION")
    return Routes(frozenset(types), tuple(single), (*own, *guests))


def _level(request: Request) -> str:
    """Where an operation is called, by the steps before its name; "" below a resource."""
    return {1: "system", 2: "type", 3: "instance"}.get(len(request.path), "")


def _fits(template: str, path: tuple[str, ...]) -> bool:
    steps = tuple(template.split("/")) if template else ()
    if len(steps) != len(path):
        return False
    return all(_step_fits(step, part) for step, part in zip(steps, path, strict=True))


def _step_fits(step: str, part: str) -> bool:
    kind = _kind(part)
    return step == part or (step in _VARIABLES and bool(kind) and (step != "{type}" or kind == "Type"))


def _kind(part: str) -> str:
    """What a step of a URL can stand for: a type or an id, an id only, or ("") neither."""
    first = part[:1]
    if first in {"_", "$", ""}:
        return ""
    return "Type" if first.isupper() else "id"


def _not_allowed(request: Request, methods: Sequence[str]) -> MethodNotAllowed:
    allowed = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
    message = f"{request.method[:16]} is not possible here. Possible: {', '.join(allowed)}."
    return MethodNotAllowed(message, headers={"Allow": ", ".join(allowed)})
