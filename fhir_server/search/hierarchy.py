"""References up and down a hierarchy: `location:below=42` is a place in 42, or in a place in it, and so on.

Each level is a step along the reference that makes the hierarchy (partOf), to what the caller may see; four at most.
https://hl7.org/fhir/R4/search.html#reference
"""

from fhir_server.fhir.definitions import SearchParam
from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.fhir.values import parse_reference
from fhir_server.search.expression import reference_targets
from fhir_server.search.model import AnyOf, Asked, Chain, Criterion, Has, Match, Site, Term
from fhir_server.search.text import shown, unescape
from fhir_server.search.types import search_types

MODIFIERS = frozenset({"above", "below"})
LEVELS = 4

_PARENTS = ("partof", "part-of")


def parse_hierarchy(asked: Asked, way: str, values: list[str]) -> Criterion:
    """The criterion that a reference leads to one of these resources, or to what is below (above) it."""
    return AnyOf(tuple(one for value in values for one in _levels(asked, way, unescape(value))))


def _levels(asked: Asked, way: str, value: str) -> list[Criterion]:
    kind, fid = _target(asked, value)
    parent = _parent(asked.site, kind)
    (term,) = search_types()["reference"].parse(f"{kind}/{fid}", asked)
    found: list[Criterion] = [Match(asked.type, asked.param.code, "reference", (term,))]
    inner: Criterion = Match(kind, parent, "reference", (term,))
    if way == "above":
        inner = Has(kind, kind, parent, Match(kind, "_id", "id", (Term("eq", (fid,)),)))
    for _ in range(LEVELS):
        found.append(Chain(asked.type, asked.param.code, ((kind, inner),)))
        inner = Has(kind, kind, parent, inner) if way == "above" else Chain(kind, parent, ((kind, inner),))
    return found


def _target(asked: Asked, value: str) -> tuple[str, str]:
    parsed = parse_reference(value)
    if parsed:
        return parsed.type, parsed.id
    targets = reference_targets(asked.site.definitions, asked.param)
    if len(targets) != 1 or "/" in value:
        raise BadValue(f"{asked.name}: {shown(value)} is no resource in a hierarchy; write Type/id")
    return targets[0], value


def _parent(site: Site, kind: str) -> str:
    """The reference of a type to one of the same type that it is a part of."""
    params = site.definitions.search_params(kind) if kind in site.definitions.types else {}
    for code in _PARENTS:
        param: SearchParam | None = params.get(code)
        if param and param.type == "reference" and kind in reference_targets(site.definitions, param):
            return code
    raise NotSupported(f"nothing stands above or below a {kind[:64]}: it is part of no other")
