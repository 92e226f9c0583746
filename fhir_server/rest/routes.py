"""The routing table, derived from the files of `interactions/` and `operations/`: a folder is a registry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        fitting = [row for row in self.interactions if _fits(row.path, request)]
        for row in fitting:
            if row.method == method:
                return row
        if not fitting:
            raise UnknownType("There is nothing at this URL.")
        raise _not_allowed(request, [row.method for row in fitting])

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
        for row in self.operations:
            if row.name == name and level in row.levels and (level == "system" or _covers(row, request.type)):
                if request.method not in row.methods:
                    raise _not_allowed(request, row.methods)
                return row
        raise UnknownType(f"The operation ${name[:64]} is not offered here.")


def all_routes(types: Sequence[str], guests: Sequence[Operation] = ()) -> Routes:
    """The table of this server: its own interactions and operations, and those that guests add."""
    single = entries(interactions, "INTERACTION")
    own = entries(operations, "OPERATION")
    return Routes(frozenset(types), tuple(single), (*own, *guests))


def _covers(row: Operation, type_: str) -> bool:
    return not row.types or type_ in row.types


def _level(request: Request) -> str:
    return ("system", "type", "instance")[min(len(request.path) - 1, 2)]


def _fits(template: str, request: Request) -> bool:
    steps = tuple(template.split("/")) if template else ()
    if len(steps) != len(request.path):
        return False
    return all(_step_fits(step, part) for step, part in zip(steps, request.path, strict=True))


def _step_fits(step: str, part: str) -> bool:
    if step == "{type}":
        return part[:1].isupper()
    return step == part or (step in _VARIABLES and part[:1] not in {"_", "$", ""})


def _not_allowed(request: Request, methods: Sequence[str]) -> MethodNotAllowed:
    allowed = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
    message = f"{request.method[:16]} is not possible here. Possible: {', '.join(allowed)}."
    return MethodNotAllowed(message, headers={"Allow": ", ".join(allowed)})
