"""References up and down a hierarchy: `location:below=42` is a place in 42, or in a place in it, and so on.

Each level is a step along the reference that makes the hierarchy (partOf), to what the caller may see; four at most.
`frame.kin` walks them.  https://hl7.org/fhir/R4/search.html#reference
"""

from fhir_server.fhir.definitions import SearchParam
from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.fhir.values import parse_reference
from fhir_server.search.expression import reference_targets
from fhir_server.search.model import Asked, Site, Term
from fhir_server.search.text import shown, unescape
from fhir_server.store.hashing import rh

_PARENTS = ("partof", "part-of")


def above(text: str, asked: Asked) -> tuple[Term, ...]:
    """A resource and what it is a part of; BadValue or NotSupported if it stands in no hierarchy."""
    return _related("above", text, asked)


def below(text: str, asked: Asked) -> tuple[Term, ...]:
    """A resource and its parts; BadValue or NotSupported if it stands in no hierarchy."""
    return _related("below", text, asked)


def _related(way: str, text: str, asked: Asked) -> tuple[Term, ...]:
    kind, fid = _target(asked, unescape(text))
    return (Term(f"{way} {kind} {_parent(asked.site, kind)}", (rh(f"{kind}/{fid}"),)),)


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
