"""What follows from relations, directives and law: the access rows of one patient (R4, R6, R7, R12).

A relation counts only as far as its grantor had the right to give it: the owner of the Patient may give any; a plan
may assign, and a plan or an assigned provider may name a care team, while it holds that relation itself. So a stranger
cannot write itself in, and whom a provider brought in leaves with the provider.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple

from fhir_server.access.classes import ALL, ANY_PURPOSE, TPO
from fhir_server.access.law import Law
from fhir_server.access.relations import ASSIGNED, CARE_TEAM, OWNER, PLAN, AccessSpan, Directive, Inputs, Rel

LawClassOf = Callable[[int], "str | None"]

_MAY_GIVE: Final = {PLAN: frozenset[str](), ASSIGNED: frozenset({PLAN}), CARE_TEAM: frozenset({PLAN, ASSIGNED})}


class Span(NamedTuple):
    """A relation that counts, from `begins` until `ends`."""

    org: int
    kind: str
    begins: int
    ends: int


def effective(inputs: Inputs) -> list[Span]:
    """The relations to one patient that count, each clipped to the grantor's own right to give it."""
    spans: list[Span] = []
    for kind in (PLAN, ASSIGNED, CARE_TEAM):  # a right to give rests on kinds that stand before
        for rel in inputs.rels:
            if rel.kind == kind:
                spans += _granted(rel, inputs.owner, spans)
    return spans


def _granted(rel: Rel, owner: int | None, spans: Sequence[Span]) -> list[Span]:
    if rel.grantor is None:
        return []
    if rel.grantor == owner:
        return [Span(rel.org, rel.kind, rel.begins, rel.ends)] if rel.begins < rel.ends else []
    clipped = [
        Span(rel.org, rel.kind, max(rel.begins, own.begins), min(rel.ends, own.ends))
        for own in spans
        if own.org == rel.grantor and own.kind in _MAY_GIVE[rel.kind]
    ]
    return [span for span in clipped if span.begins < span.ends]


def live_kinds(inputs: Inputs, org: int, now: int) -> frozenset[str]:
    """The kinds of relation the organization has to the patient at this instant; OWNER if the Patient is its own."""
    kinds = {span.kind for span in effective(inputs) if span.org == org and span.begins <= now < span.ends}
    return frozenset(kinds | {OWNER} if inputs.owner == org else kinds)


def consequences(inputs: Inputs, law: Law, law_class_of: LawClassOf) -> list[AccessSpan]:
    """The access rows of one patient: time-sliced, not overlapping; none for an organization of unknown law class.

    Denies act, permits are inert. One row stands for all of TPO where the four purposes agree.
    """
    by_org: dict[int, list[Span]] = defaultdict(list)
    for span in effective(inputs):
        by_org[span.org].append(span)
    denies = [directive for directive in inputs.directives if directive.effect == "deny"]
    found: list[AccessSpan] = []
    for org, spans in by_org.items():
        law_class = law_class_of(org)
        if law_class is not None:
            found += _of_organization(inputs.patient, org, spans, denies, partial(law, law_class))
    return found


def _of_organization(
    patient: int,
    org: int,
    spans: Sequence[Span],
    denies: Sequence[Directive],
    mask_for: Callable[[str, str], int | None],
) -> list[AccessSpan]:
    slices: dict[str, list[tuple[int, int, int]]] = {}
    for purpose in TPO:
        mine = [d for d in denies if d.recipient in (0, org) and d.purpose in (ANY_PURPOSE, purpose)]
        entitled = [(span, mask) for span in spans if (mask := mask_for(span.kind, purpose)) is not None]
        slices[purpose] = _slices(entitled, mine)
    first = slices[TPO[0]]
    if all(other == first for other in slices.values()):
        slices = {ANY_PURPOSE: first}
    return [AccessSpan(org, p, patient, mask, lo, hi) for p, cuts in slices.items() for lo, hi, mask in cuts]


def _slices(entitled: Sequence[tuple[Span, int]], denies: Sequence[Directive]) -> list[tuple[int, int, int]]:
    """(begins, ends, mask) where something is left to see, neighbours with one mask joined."""
    instants = {time for span, _ in entitled for time in (span.begins, span.ends)}
    instants |= {time for deny in denies for time in (deny.begins, deny.ends)}
    found: list[tuple[int, int, int]] = []
    ordered = sorted(instants)
    for begins, ends in pairwise(ordered):
        mask = _mask_at(begins, entitled, denies)
        if mask is None:
            continue
        if found and found[-1][1:] == (begins, mask):
            found[-1] = (found[-1][0], ends, mask)
        else:
            found.append((begins, ends, mask))
    return found


def _mask_at(instant: int, entitled: Sequence[tuple[Span, int]], denies: Sequence[Directive]) -> int | None:
    masks = [mask for span, mask in entitled if span.begins <= instant < span.ends]
    denied = [deny.classes for deny in denies if deny.begins <= instant < deny.ends]
    if not masks or ALL in denied:
        return None
    return _union(masks) & ~_union(denied)


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
