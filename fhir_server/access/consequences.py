"""What follows from relations, directives and law: the access rows of one patient (R4, R6, R7, R12).

A relation counts only as far as its grantor had the right to give it: the owner of the Patient may give any; a plan
may assign, and a plan or an assigned provider may name a care team, while it holds that relation itself. So a stranger
cannot write itself in, and whom a provider brought in leaves with the provider.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final, NamedTuple

from fhir_server.access.classes import ALL, ANY_PURPOSE, OPEN, TPO
from fhir_server.access.law import Law
from fhir_server.access.relations import ASSIGNED, CARE_TEAM, OWNER, PLAN, AccessSpan, Directive, Inputs, Rel, RunOut

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
        givers: dict[int, list[Span]] = defaultdict(list)
        for span in spans:
            if span.kind in _MAY_GIVE[kind]:
                givers[span.org].append(span)
        for rel in inputs.rels:
            if rel.kind == kind:
                spans += _granted(rel, inputs.owner, givers)
    return spans


def _granted(rel: Rel, owner: int | None, givers: Mapping[int, Sequence[Span]]) -> list[Span]:
    if rel.grantor is None:
        return []
    if rel.grantor == owner:
        return [Span(rel.org, rel.kind, rel.begins, rel.ends)] if rel.begins < rel.ends else []
    clipped = [
        Span(rel.org, rel.kind, max(rel.begins, own.begins), min(rel.ends, own.ends))
        for own in givers.get(rel.grantor, ())
    ]
    return [span for span in clipped if span.begins < span.ends]


def run_outs(inputs: Inputs) -> list[RunOut]:
    """The run-outs of one patient: of every assignment by the owner of the record that has an end, past or to come.

    An end that was said in retrospect is one from the instant at which it was said.
    """
    found: dict[tuple[int, int, int], RunOut] = {}
    for rel in inputs.rels:
        own = rel.grantor is not None and rel.grantor == inputs.owner
        if rel.kind == ASSIGNED and rel.stays and own and rel.begins < rel.ends < OPEN:
            one = RunOut(inputs.patient, rel.org, rel.begins, rel.ends, max(rel.ends, rel.recorded))
            key = one[1:4]
            found[key] = max(one, found.get(key, one))
    return list(found.values())


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
    slices: dict[str, tuple[tuple[int, int, int], ...]] = {}
    for purpose in TPO:
        mine = [d for d in denies if d.recipient in (0, org) and d.purpose in (ANY_PURPOSE, purpose)]
        entitled = [(span[2:], mask) for span in spans if (mask := mask_for(span.kind, purpose)) is not None]
        slices[purpose] = _slices(tuple(entitled), tuple([((d.begins, d.ends), d.classes) for d in mine]))
    first = slices[TPO[0]]
    if all(other == first for other in slices.values()):
        slices = {ANY_PURPOSE: first}
    return [AccessSpan(org, p, patient, mask, lo, hi) for p, cuts in slices.items() for lo, hi, mask in cuts]


@dataclass(slots=True)
class _Held:
    """What the spans that cover an instant hold together: their number, and how many hold each class."""

    number: int = 0
    everything: int = 0
    classes: Counter[int] = field(default_factory=Counter)

    def add(self, mask: int, step: int) -> None:
        """Let a span begin (1) or end (-1)."""
        self.number += step
        self.everything += step * (mask == ALL)
        for bit in _bits(mask) if mask != ALL else ():
            self.classes[bit] += step

    @property
    def mask(self) -> int:
        """The classes that some span holds."""
        return sum(bit for bit, count in self.classes.items() if count)


_Masks = tuple[tuple[tuple[int, int], int], ...]  # ((begins, ends), mask)
Edge = tuple[int, _Held, int, int]  # instant, whose, mask, 1 at the begin and -1 at the end


@lru_cache(maxsize=4096)  # most purposes are entitled to the same, and so are the members of one file
def _slices(entitled: _Masks, denied_spans: _Masks) -> tuple[tuple[int, int, int], ...]:
    """(begins, ends, mask) where something is left to see, neighbours with one mask joined.

    Walked from edge to edge, because one patient may have very many spans and the database waits meanwhile.
    """
    given, denied = _Held(), _Held()
    edges = [edge for span, mask in entitled for edge in _edges(span, given, mask)]
    edges += [edge for span, mask in denied_spans for edge in _edges(span, denied, mask)]
    found: list[tuple[int, int, int]] = []
    instants = groupby(sorted(edges, key=itemgetter(0)), key=itemgetter(0))
    for (begins, mask), (ends, _) in pairwise((instant, _left(given, denied, now)) for instant, now in instants):
        if mask is None:
            continue
        if found and found[-1][1:] == (begins, mask):
            found[-1] = (found[-1][0], ends, mask)
        else:
            found.append((begins, ends, mask))
    return tuple(found)


def _edges(span: tuple[int, int], held: _Held, mask: int) -> Iterator[Edge]:
    begins, ends = span
    if begins < ends:
        yield begins, held, mask, 1
        yield ends, held, mask, -1


def _left(given: _Held, denied: _Held, edges: Iterator[Edge]) -> int | None:
    """What may be seen from these edges on; None for nothing, not even ordinary information."""
    for _, held, mask, step in edges:
        held.add(mask, step)
    return given.mask & ~denied.mask if given.number and not denied.everything else None


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield mask & -mask
        mask &= mask - 1
