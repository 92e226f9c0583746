"""One search parameter and its value -> a criterion: modifiers, chains, _has.

https://hl7.org/fhir/R4/search.html#chaining
"""

import re
from collections.abc import Callable

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly
from fhir_server.search import words
from fhir_server.search.amounts import parse_amounts
from fhir_server.search.canonicals import is_canonical, versions
from fhir_server.search.expression import reference_targets
from fhir_server.search.lists import STORED, on_list
from fhir_server.search.model import AllOf, Asked, Chain, Criterion, Has, Match, Site, Term
from fhir_server.search.modifiers import OWN_WAYS, lists, way
from fhir_server.search.pairs import parts_of
from fhir_server.search.text import shown, split
from fhir_server.search.types import search_types

MOST_HOPS = 3
MOST_HAS = 2
MOST_VALUES = 200
MOST_BRANCHES = 10

_NOT_OFFERED = frozenset({"_query"})  # a named query is an operation, and none is defined
OWN = {"_id": "id", "_lastUpdated": "instant"}
_HAS_PARTS = 4
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_ESCAPED = re.compile(r"(?:[^\\]|\\[,|$\\])*")
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")

Parse = Callable[[str, Asked], tuple[Term, ...]]


def parse_criterion(site: Site, kind: str, name: str, value: str) -> Criterion:
    """The criterion `name=value` on resources of type `kind`; NotSupported, BadValue or TooCostly if it cannot be."""
    if name.count(".") > MOST_HOPS:
        raise TooCostly(f"{shown(name)} follows more than {MOST_HOPS} references")
    if name.count("_has:") > MOST_HAS:
        raise TooCostly(f"{shown(name)} holds more than {MOST_HAS} _has")
    if _NO_CHARACTER.search(value):
        raise BadValue(f"{shown(name)} holds what is no character")
    return _criterion(site, kind, name, value)


def _criterion(site: Site, kind: str, name: str, value: str) -> Criterion:
    if name.startswith("_has:"):
        return _has(site, kind, name, value)
    if name == "_list":
        return _list(site, kind, value)
    if name in words.COLUMNS:
        return words.parse(kind, name, value)
    head, dot, rest = name.partition(".")
    code, colon, modifier = head.partition(":")
    if colon and not modifier:
        raise NotSupported(f"{shown(name)} has a colon and no modifier behind it")
    param = find_param(site, kind, code)
    if dot:
        return _chain(site, kind, param, modifier, rest, value)
    return _match(site, kind, param, modifier, name, value)


def _list(site: Site, kind: str, value: str) -> Criterion:
    pairs = on_list(kind, value)
    if pairs is None:
        return _has(site, kind, STORED, value)
    return AllOf(tuple(_criterion(site, kind, name, wanted) for name, wanted in pairs))


def find_param(site: Site, kind: str, code: str) -> SearchParam:
    """The search parameter of a type; NotSupported if it is unknown or of a kind that is not offered."""
    param = site.definitions.search_params(kind).get(code)
    if code == "_query":
        raise NotSupported("no named query is defined here; ask by parameters, which /metadata lists")
    if param is None:
        raise NotSupported(f"{kind} has no search parameter {shown(code)} here; /metadata lists those it has")
    if not offers(site.definitions, kind, param):
        raise NotSupported(f"{shown(code)} is a {param.type} parameter; this server does not offer it")
    return param


def offers(definitions: Definitions, kind: str, param: SearchParam) -> bool:
    """Whether the resources of a type can be found by one of their parameters."""
    if param.type == "composite":
        return parts_of(definitions, kind, param.code) is not None
    return param.code in OWN or (param.type in search_types() and param.code not in _NOT_OFFERED)


def _has(site: Site, kind: str, name: str, value: str) -> Has:
    parts = name.split(":", _HAS_PARTS - 1)
    if len(parts) < _HAS_PARTS or not all(parts):
        raise NotSupported(f"{shown(name)} is not of the form _has:Type:reference:parameter")
    _, source, code, rest = parts
    if source not in site.definitions.types:
        raise NotSupported(f"{shown(source)} in {shown(name)} is no resource type")
    param = find_param(site, source, code)
    require_followed(site, source, param)
    if param.type != "reference" or kind not in reference_targets(site.definitions, param):
        raise NotSupported(f"{shown(code)} of {source} does not refer to a {kind}")
    return Has(kind, source, code, _criterion(site, source, rest, value))


def _chain(site: Site, kind: str, param: SearchParam, target: str, rest: str, value: str) -> Chain:
    if param.type != "reference":
        raise NotSupported(f"{shown(param.code)} of {kind} is no reference, so nothing can follow it")
    require_followed(site, kind, param)
    types = reference_targets(site.definitions, param)
    if target:
        _require_target(site, param, target, types)
        return Chain(kind, param.code, ((target, _criterion(site, target, rest, value)),))
    branches = _branches(site, types, rest, value)
    if not branches:
        raise NotSupported(f"nothing that {shown(param.code)} of {kind} refers to has the parameter {shown(rest)}")
    if len(branches) > MOST_BRANCHES:
        raise NotSupported(f"{shown(param.code)} of {kind} refers to many types; write {param.code}:Type.{rest[:20]}")
    return Chain(kind, param.code, branches)


def require_followed(site: Site, kind: str, param: SearchParam) -> None:
    """NotSupported for a reference by canonical URL."""
    if is_canonical(site.definitions, kind, param):
        raise NotSupported(
            f"{shown(param.code)} of {kind} refers by canonical URLs, which are not followed here; search by the URL"
        )


def _branches(site: Site, types: tuple[str, ...], rest: str, value: str) -> tuple[tuple[str, Criterion], ...]:
    found: list[tuple[str, Criterion]] = []
    for kind in types:
        try:
            found.append((kind, _criterion(site, kind, rest, value)))
        except NotSupported:
            continue
        if len(found) > MOST_BRANCHES:
            break
    return tuple(found)


def _require_target(site: Site, param: SearchParam, target: str, types: tuple[str, ...]) -> None:
    if target not in site.definitions.types or target not in types:
        raise NotSupported(f"{shown(param.code)} does not refer to resources of type {shown(target)}")


def _match(site: Site, kind: str, param: SearchParam, modifier: str, name: str, value: str) -> Criterion:
    searched = OWN.get(param.code, param.type)
    asked = Asked(site, kind, param, name, modifier)
    if modifier == "missing":
        return Match(kind, param.code, searched, (_missing(name, value),), "missing")
    if modifier in ("", "below") and searched == "uri" and (found := versions(asked, _values(name, value))):
        return found
    other = way(site.definitions, kind, param, modifier) if searched == param.type else None
    if other and (not other.suffix or other.suffix in lists(site.definitions, kind, param)):
        terms = _terms(other.parse, asked, value)
        return Match(kind, param.code + other.suffix, other.kind, terms, "not" if other.negative else "")
    _check_modifier(asked, searched)
    if searched == "quantity":
        return parse_amounts(asked, _values(name, value))
    terms = _terms(search_types()[param.type].parse, asked, value)
    if searched == "id":
        terms = tuple(_id(asked, term) for term in terms)
    return Match(kind, param.code, searched, terms, modifier if modifier == "not" else "")


def _check_modifier(asked: Asked, searched: str) -> None:
    modifier, param = asked.modifier, asked.param
    if not modifier:
        return
    definitions, offered = asked.site.definitions, search_types()[param.type].modifiers
    if searched == param.type and modifier in offered - OWN_WAYS:
        return
    if param.type == "reference" and modifier not in OWN_WAYS:
        _require_target(asked.site, param, modifier, reference_targets(definitions, param))
        return
    raise NotSupported(f"the {param.type} parameter {shown(param.code)} has no modifier {shown(modifier)} here")


def _values(name: str, value: str) -> list[str]:
    parts = split(value, ",")
    if len(parts) > MOST_VALUES:
        raise TooCostly(f"{shown(name)} has more than {MOST_VALUES} values")
    if not all(part.strip() for part in parts):
        raise BadValue(f"{shown(name)} has an empty value; leave it out or give one")
    if "\\" in value and not _ESCAPED.fullmatch(value):
        raise BadValue(f"{shown(name)}: a backslash stands before , | $ or another backslash only; write it twice")
    return parts


def _terms(parse: Parse, asked: Asked, value: str) -> tuple[Term, ...]:
    parts = _values(asked.name, value)
    found = sorted(dict.fromkeys(term for part in parts for term in parse(part, asked)), key=_op)
    if len(found) > 1:  # to a power of two: questions of many lengths then share a few statements
        found += found[-1:] * ((1 << (len(found) - 1).bit_length()) - len(found))
    return tuple(found)


def _op(term: Term) -> str:
    return term.op


def _missing(name: str, value: str) -> Term:
    if value not in ("true", "false"):
        raise BadValue(f"{shown(name)} is either true or false, not {shown(value)}")
    return Term(value)


def _id(asked: Asked, term: Term) -> Term:
    if term.op != "code" or not _ID.fullmatch(term.values[0]):
        raise BadValue(f"{asked.name} is an id alone: letters, digits, - and ., at most 64 of them")
    return Term("eq", term.values)
