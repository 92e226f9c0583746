"""References to what a resource contains: a chain steps into it, as it steps to other resources.

A reference `#a` is kept as a token of its parameter, under a mark that no question can hold. Only the last step of a
chain leads inside: nothing contained is referred to from outside.  https://hl7.org/fhir/R4/search.html#contained
"""

from dataclasses import replace

from fhir_server.search.model import INSIDE, OWN_KINDS, AnyOf, Chain, Criterion, Has, Match, Not

MARK = "\x1f"  # before the id of what is contained; neither a URL nor a form may hold it


def inside(criterion: Criterion) -> Criterion:
    """The same criterion on contained resources; where it leads to others, those are no contained ones."""
    if isinstance(criterion, Match):
        others = tuple((INSIDE + kind, code) for kind, code in criterion.others)
        return replace(criterion, type=INSIDE + criterion.type, others=others)
    if isinstance(criterion, Chain):
        return replace(criterion, type=INSIDE + criterion.type)
    if isinstance(criterion, Has):
        return criterion
    if isinstance(criterion, Not):
        return Not(inside(criterion.part))
    return replace(criterion, parts=tuple(map(inside, criterion.parts)))


def leads_inside(chain: Chain, inner: Criterion) -> bool:
    """Whether a step of a chain is the last, and leads from a resource of its own."""
    return not chain.type.startswith(INSIDE) and _is_last(inner)


def _is_last(criterion: Criterion) -> bool:
    if isinstance(criterion, Match):
        return criterion.kind not in OWN_KINDS  # the id and time of what is contained are not its own
    return isinstance(criterion, AnyOf) and all(map(_is_last, criterion.parts))
