"""The functions of FHIRPath as closures; those that are not here are left to the library.

http://hl7.org/fhirpath/N1/#functions
"""

import operator
import re
from collections.abc import Callable
from typing import Final

from fhir_server.validation.invariant_steps import Items, Step, member, then, truth
from fhir_server.validation.matching import identity, written


def _where(criteria: Step) -> Step:
    return lambda items: [item for item in items if truth(criteria([item]))]


def _exists(criteria: Step | None = None) -> Step:
    if criteria is None:
        return lambda items: [bool(items)]
    return lambda items: [any(truth(criteria([item])) for item in items)]


def _all(criteria: Step) -> Step:
    return lambda items: [all(truth(criteria([item])) for item in items)]


def _not(items: Items) -> Items:
    answer = truth(items)
    return [] if answer is None else [not answer]


def _matches(argument: Step) -> Step:
    pattern = re.compile(re.sub(r"\$$", r"\\Z", argument([])[0]))
    return lambda items: [pattern.search(items[0]) is not None] if items else []


def _of_text(test: Callable[[str, str], bool]) -> Callable[[Step], Step]:
    return lambda argument: lambda items: [test(str(items[0]), argument(items)[0])] if items else []


def _extension(argument: Step) -> Step:
    url = argument([])[0]
    return then(member("extension"), lambda items: [item for item in items if item.get("url") == url])


def _select(projection: Step) -> Step:
    return lambda items: [one for item in items for one in projection([item])]


def _iif(criteria: Step, yes: Step, no: Step = lambda _: []) -> Step:
    return lambda items: yes(items) if truth(criteria(items)) else no(items)


def _repeat(projection: Step) -> Step:
    def step(items: Items) -> Items:
        found: dict[object, object] = {}
        waiting = list(items)
        while waiting:  # what has been found before leads nowhere new, or it would never end
            following = [one for item in waiting for one in projection([item])]
            fresh = {identity(one): one for one in following if identity(one) not in found}
            found |= fresh
            waiting = list(fresh.values())
        return list(found.values())

    return step


def _is_distinct(items: Items) -> Items:
    return [len({written(one) for one in items}) == len(items)]


def _substring(start: Step, length: Step | None = None) -> Step:
    def step(items: Items) -> Items:
        at = start(items)[0] if items else 0
        if not items or not 0 <= at < len(items[0]):
            return []
        return [items[0][at : None if length is None else at + length(items)[0]]]

    return step


def _to_integer(items: Items) -> Items:
    if items and isinstance(items[0], bool):
        return [int(items[0])]
    return [int(items[0])] if items and re.fullmatch(r"[+-]?\d+", str(items[0])) else []


def _to_string(items: Items) -> Items:
    return [items[0] if isinstance(items[0], str) else str(items[0]).lower()] if items else []


FUNCTIONS: Final[dict[tuple[str, int], Callable[..., Step]]] = {
    ("exists", 0): _exists,
    ("exists", 1): _exists,
    ("empty", 0): lambda: lambda items: [not items],
    ("not", 0): lambda: _not,
    ("where", 1): _where,
    ("all", 1): _all,
    ("select", 1): _select,
    ("repeat", 1): _repeat,
    ("isDistinct", 0): lambda: _is_distinct,
    ("allTrue", 0): lambda: lambda items: [all(item is True for item in items)],
    ("iif", 2): _iif,
    ("iif", 3): _iif,
    ("matches", 1): _matches,
    ("startsWith", 1): _of_text(str.startswith),
    ("endsWith", 1): _of_text(str.endswith),
    ("contains", 1): _of_text(operator.contains),
    ("substring", 1): _substring,
    ("substring", 2): _substring,
    ("length", 0): lambda: lambda items: [len(items[0])] if items else [],
    ("toInteger", 0): lambda: _to_integer,
    ("toString", 0): lambda: _to_string,
    ("hasValue", 0): lambda: lambda items: [len(items) == 1 and not isinstance(items[0], dict)],
    ("count", 0): lambda: lambda items: [len(items)],
    ("first", 0): lambda: lambda items: items[:1],
    ("last", 0): lambda: lambda items: items[-1:],
    ("tail", 0): lambda: lambda items: items[1:],
    ("extension", 1): _extension,
}
