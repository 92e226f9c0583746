"""_sort as text -> its keys: parameters of the searched type, or of what a reference of it leads to.

https://hl7.org/fhir/R4/search.html#sort
"""

from collections.abc import Sequence

from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly
from fhir_server.search.criteria import MOST_HOPS, OWN, find_param
from fhir_server.search.expression import reference_targets
from fhir_server.search.model import Param, Site, SortKey
from fhir_server.search.text import shown
from fhir_server.search.types import search_types

MOST_KEYS = 5


def sort_keys(site: Site, types: Sequence[str], value: str, before: int = 0) -> tuple[SortKey, ...]:
    """The keys that order resources of these types; BadValue, NotSupported or TooCostly if they cannot.

    `before`: how many keys a _sort before this one has given already.
    """
    words = value.split(",")
    if before + len(words) > MOST_KEYS:
        raise TooCostly(f"_sort takes {MOST_KEYS} keys at most")
    return tuple(_key(site, types, word) for word in words)


def _key(site: Site, types: Sequence[str], word: str) -> SortKey:
    *steps, code = word.removeprefix("-").split(".")
    if not code or not all(steps):
        raise BadValue("_sort lists search parameters between commas, each with a - before it for descending order")
    if len(steps) > MOST_HOPS:
        raise TooCostly(f"{shown(word)} follows more than {MOST_HOPS} references")
    via: list[tuple[tuple[Param, ...], str]] = []
    for step in steps:
        params, target = _step(site, types, step)
        via.append((params, target))
        types = (target,)
    kind = _kind(site, types, code)
    return SortKey(tuple((one, code) for one in types), kind, word.startswith("-"), tuple(via))


def _step(site: Site, types: Sequence[str], step: str) -> tuple[tuple[Param, ...], str]:
    code, _, target = step.partition(":")
    params = [find_param(site, kind, code) for kind in types]
    if any(param.type != "reference" for param in params):
        raise NotSupported(f"{shown(code)} is no reference, so nothing can follow it in _sort")
    targets = set.intersection(*[set(reference_targets(site.definitions, param)) for param in params])
    if not target and len(targets) == 1:
        (target,) = targets
    if target not in targets:
        raise NotSupported(f"{shown(step)} leads to no single type; write {code}:Type.parameter in _sort")
    return tuple((kind, code) for kind in types), target


def _kind(site: Site, types: Sequence[str], code: str) -> str:
    kinds = {OWN.get(code, find_param(site, kind, code).type) for kind in types}
    if len(kinds) > 1:
        raise NotSupported(f"{shown(code)} does not mean the same for all of these types; sort them one by one")
    (kind,) = kinds
    if code not in OWN and not search_types()[kind].sort:
        raise NotSupported(f"results cannot be sorted by {shown(code)}: {kind} parameters have no order here")
    return kind
